//go:build !unix

package badgerfile

import "os"

func readData(path string) ([]byte, error) { return os.ReadFile(path) }
