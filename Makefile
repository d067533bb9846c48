.DEFAULT_GOAL := help
.PHONY: help check nightly test fuzz vulnerabilities build release reproducible demo docker generate

help: ## print the targets
	@awk -F ': ## ' '/^[a-z]+: ## / { printf "%-15s %s\n", $$1, $$2 }' Makefile

check: ## everything that CI runs: format, vet, staticcheck, generated files, scripts, tests with -race
	.ci/run

nightly: ## all that takes too long for every change: campaigns, fuzzing and more, for hours
	.ci/nightly

test: ## test the program and the built-in scripts
	go test ./...
	go run ./cmd/starling test

fuzz: ## fuzz every parser of what others write, FUZZTIME each (30s)
	.ci/fuzz

vulnerabilities: ## look for known vulnerabilities, where their database can be reached
	.ci/vulnerabilities

build: ## build the program ./starling
	go build -trimpath -tags grpcnotrace -o starling ./cmd/starling

release: ## build what is published into dist: programs, licences, bills of materials, provenance (VERSION=...)
	.ci/release $(VERSION)

reproducible: ## build a release twice from nothing, and compare
	.ci/reproducible

demo: ## collect from a simulated Microsoft and deliver to a simulated Devo, for a minute
	go run ./cmd/starling demo

docker: ## build the image starling:latest
	docker build -t starling .

generate: ## write generated files again
	go generate ./...
