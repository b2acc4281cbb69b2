package main

import (
	"runtime/debug"
	"testing"

	"net-watcher/internal/check"
)

func TestDescribe(t *testing.T) {
	commit := []debug.BuildSetting{
		{Key: "-trimpath", Value: "true"},
		{Key: "vcs", Value: "git"},
		{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
		{Key: "vcs.time", Value: "2026-11-30T15:38:57Z"},
	}
	for _, test := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", commit, "v1.2.3 (commit 0123456789ab, 2026-11-30T15:38:57Z)"},
		{"v1.2.3+dirty", commit, "v1.2.3+dirty (commit 0123456789ab, 2026-11-30T15:38:57Z)"},
		{"v1.2.3", nil, "v1.2.3"},
		{"(devel)", nil, "(devel)"},
		{"", nil, "(devel)"},
	} {
		got := describe(&debug.BuildInfo{Main: debug.Module{Version: test.version}, Settings: test.settings})
		check.Equal(t, "description", test.want, got)
	}
}
