#!/bin/sh
# The service ends with the package, but not before an upgrade: dpkg passes
# "remove" or "upgrade", rpm the number of versions that will be left.
set -e
if [ -d /run/systemd/system ]; then
	case $1 in
	remove | 0) systemctl disable --now net-watcher.service ;;
	esac
fi
