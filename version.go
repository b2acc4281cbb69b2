package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version returns what -version prints.
func version() string {
	return fmt.Sprintf("net-watcher %s %s %s/%s", describe(buildInfo()), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// programVersion returns the version of the program, "(devel)" if go build did not know it.
func programVersion() string {
	return cmp.Or(buildInfo().Main.Version, "(devel)")
}

// buildInfo returns what go build has noted in the program. Releases have nothing else.
func buildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return new(debug.BuildInfo)
}

// describe returns the version, and the commit with its date if the program was built in a
// clone, by go build. (go run, go test and go install of a module note none.)
func describe(info *debug.BuildInfo) string {
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	version := cmp.Or(info.Main.Version, "(devel)")
	if commit := settings["vcs.revision"]; commit != "" {
		version += fmt.Sprintf(" (commit %.12s, %s)", commit, settings["vcs.time"])
	}
	return version
}
