package scan

import (
	"runtime"
	"slices"
	"syscall"
	"unsafe"
)

// Revalidate implements FileSystem: statx(2) with AT_STATX_FORCE_SYNC asks the server
// without opening anything, so it needs no descriptor, and no permission to read.
func (OS) Revalidate(name string) {
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return
	}
	const (
		cwd        = ^uintptr(99) // AT_FDCWD, which is -100
		forceSync  = 0x2000       // AT_STATX_FORCE_SYNC
		basicStats = 0x7ff        // STATX_BASIC_STATS
	)
	var result [256]byte // struct statx, on every architecture
	_, _, errno := syscall.Syscall6(statxNumber(), cwd, uintptr(unsafe.Pointer(path)), forceSync, basicStats, uintptr(unsafe.Pointer(&result)), 0)
	if errno == syscall.ENOSYS || errno == syscall.EPERM { // an old kernel, or one that a sandbox keeps it from
		reopen(name)
	}
}

// statxNumber returns the number of statx in the kernel's system call tables.
func statxNumber() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 332
	case "386", "ppc64", "ppc64le":
		return 383
	case "arm":
		return 397
	case "s390x":
		return 379
	case "mips", "mipsle":
		return 4366
	case "mips64", "mips64le":
		return 5326
	}
	return 291 // arm64, riscv64, loong64
}

// IsRemote implements FileSystem.
func (OS) IsRemote(name string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(name, &st) == nil && !slices.Contains(localTypes[:], uint32(st.Type))
}

// localTypes is the types of file systems that have no server, as in linux/magic.h. Any
// other one may have.
var localTypes = [...]uint32{
	0xef53,     // ext2, ext3, ext4
	0x58465342, // XFS
	0x9123683e, // Btrfs
	0x01021994, // tmpfs
	0x858458f6, // ramfs
	0x794c7630, // overlayfs
	0x2fc12fc1, // ZFS
	0xf2f52010, // F2FS
	0xca451a4e, // bcachefs
	0x4d44,     // FAT
	0x2011bab0, // exFAT
	0x5346544e, // NTFS
	0x7366746e, // NTFS3
	0x9660,     // ISO 9660
	0x73717368, // squashfs
	0xe0f5e1e2, // EROFS
	0x9fa0,     // proc
	0x62656572, // sysfs
}
