package builtins

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newHash makes the module hash. data is a string, hashed as its UTF-8 bytes, or bytes; encoding is
// "hex", in small letters, or "base64".
//
//	hash.sha256(data, *, encoding = "hex")
//	hash.sha1(data, *, encoding = "hex")
//	hash.md5(data, *, encoding = "hex")
//	hash.sha512(data, *, encoding = "hex")
//	hash.hmac_sha256(key, data, *, encoding = "hex")
//	hash.hmac_sha1(key, data, *, encoding = "hex")
//	hash.hmac_sha512(key, data, *, encoding = "hex")
//
// The key of an HMAC may be a secret. SHA-1 and MD5 are for APIs that ask for them, and for
// naming records; neither protects anything.
func newHash() *starlarkstruct.Module {
	return module("hash", map[string]builtinFunc{
		"sha256":      hashWith(sha256.New),
		"sha1":        hashWith(sha1.New),
		"sha512":      hashWith(sha512.New),
		"md5":         hashWith(md5.New),
		"hmac_sha256": hashHMAC(sha256.New),
		"hmac_sha1":   hashHMAC(sha1.New),
		"hmac_sha512": hashHMAC(sha512.New),
	})
}

func hashWith(create func() hash.Hash) builtinFunc {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var data dataArg
		encoding := "hex"
		if err := unpack(b, args, kwargs, 1, "data", &data, "encoding?", &encoding); err != nil {
			return nil, err
		}
		return digestOf(b, create(), data, encoding)
	}
}

func hashHMAC(create func() hash.Hash) builtinFunc {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var key starlark.Value
		var data dataArg
		encoding := "hex"
		if err := unpack(b, args, kwargs, 2, "key", &key, "data", &data, "encoding?", &encoding); err != nil {
			return nil, err
		}
		var secret dataArg
		if s, ok := key.(engine.Secret); ok {
			secret = dataArg(s.Reveal())
		} else if err := secret.Unpack(key); err != nil {
			return nil, fmt.Errorf("%s: key: %w, or a secret", b.Name(), err)
		}
		return digestOf(b, hmac.New(create, secret), data, encoding)
	}
}

func digestOf(b *starlark.Builtin, h hash.Hash, data []byte, encoding string) (starlark.Value, error) {
	h.Write(data)
	switch encoding {
	case "hex":
		return starlark.String(hex.EncodeToString(h.Sum(nil))), nil
	case "base64":
		return starlark.String(base64.StdEncoding.EncodeToString(h.Sum(nil))), nil
	}
	return nil, fmt.Errorf("%s: encoding: got %q, want \"hex\" or \"base64\"", b.Name(), encoding)
}

// A dataArg takes a string or bytes from the arguments of a builtin. A secret is neither: what is
// made of one would be readable.
type dataArg []byte

// Unpack makes dataArg an argument of starlark.UnpackArgs.
func (d *dataArg) Unpack(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		*d = dataArg(v)
	case starlark.Bytes:
		*d = dataArg(v)
	default:
		return fmt.Errorf("got %s, want string or bytes", v.Type())
	}
	return nil
}
