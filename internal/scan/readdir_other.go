//go:build !(linux && (amd64 || arm64 || riscv64))

package scan

import (
	"io/fs"
	"os"
)

// See readdir_linux.go.
func readdir(f *os.File, n int) ([]fs.FileInfo, error) { return f.Readdir(n) }
