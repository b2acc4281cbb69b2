package scan_test

import (
	"testing"

	"net-watcher/internal/check"
	"net-watcher/internal/scan"
)

// A root is joined without a second separator.
func TestJoin(t *testing.T) {
	for _, test := range [][3]string{{"d", "", "d"}, {"d", "a/b", "d/a/b"}, {"/", "", "/"}, {"/", "etc", "/etc"}} {
		check.Equal(t, "below "+test[0], test[2], scan.Join(test[0], test[1]))
	}
}
