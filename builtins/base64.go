package builtins

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newBase64 makes the module base64, RFC 4648.
//
//	base64.encode(data)                         with padding
//	base64.url_encode(data)                     safe in URLs, without padding, as tokens have it
//	base64.decode(text, *, as_bytes = False)
//	base64.url_decode(text, *, as_bytes = False)
//
// data is a string or bytes. Decoding gives a string, or bytes with as_bytes = True, which is needed
// for what is not UTF-8. It takes text with padding and without, and overlooks line breaks.
func newBase64() *starlarkstruct.Module {
	return module("base64", map[string]builtinFunc{
		"encode":     base64Encode(base64.StdEncoding),
		"url_encode": base64Encode(base64.RawURLEncoding),
		"decode":     base64Decode(base64.RawStdEncoding),
		"url_decode": base64Decode(base64.RawURLEncoding),
	})
}

func base64Encode(e *base64.Encoding) builtinFunc {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var data dataArg
		if err := unpack(b, args, kwargs, 1, "data", &data); err != nil {
			return nil, err
		}
		return starlark.String(e.EncodeToString(data)), nil
	}
}

// base64Decode takes an encoding without padding; padding in the text is cut off before.
func base64Decode(e *base64.Encoding) builtinFunc {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		var asBytes bool
		if err := unpack(b, args, kwargs, 1, "text", &text, "as_bytes?", &asBytes); err != nil {
			return nil, err
		}
		data, err := e.DecodeString(strings.TrimRight(text, "=\r\n"))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		case asBytes:
			return starlark.Bytes(data), nil
		case !utf8.Valid(data):
			return nil, fmt.Errorf("%s: this is no text in UTF-8: decode it with as_bytes = True", b.Name())
		}
		return starlark.String(data), nil
	}
}
