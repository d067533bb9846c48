# The image that builds. Any image with this Go, a shell and CA certificates will do; name it by its
# digest where builds must be the same bit by bit.
ARG GO_IMAGE=golang:1.26.10
FROM ${GO_IMAGE} AS build
WORKDIR /src
# Where modules come from; the defaults of the go command unless given.
ARG GOPROXY
ARG GOSUMDB
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -buildid= -X main.version=${VERSION}" -o /out/starling ./cmd/starling \
 && mkdir /out/licences && cp LICENSE /out/licences/ \
 && go run ./cmd/internal/release notices /out/starling >/out/licences/THIRD_PARTY_NOTICES \
 && mkdir -p /out/devo-collector/config /out/devo-collector/certs /out/devo-collector/scripts \
 && mkdir -m 700 /out/devo-collector/state

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="starling" \
      org.opencontainers.image.description="Runs scripts that pull events from APIs, and delivers the events to Devo" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/starling /starling
COPY --from=build /out/licences /licences
# The folders of Devo's collectors, so that their volumes fit. Only state is written to.
COPY --from=build --chown=65532:65532 /out/devo-collector /devo-collector
WORKDIR /devo-collector
USER 65532:65532
# The name of a file in config/, as in Devo's images.
ENV CONFIG_FILE=config.yaml
VOLUME /devo-collector/state
STOPSIGNAL SIGTERM
# By address, not by --config: a configuration that was edited wrongly is refused and harms nothing,
# so it must not make the container unhealthy. In a container, keep the port of starling.listen.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/starling", "health", "--url", "http://127.0.0.1:9464/healthz"]
ENTRYPOINT ["/starling"]
CMD ["run"]
