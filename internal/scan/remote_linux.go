package scan

import (
	"encoding/binary"
	"runtime"
	"slices"
	"syscall"
	"unsafe"
)

// Revalidate implements FileSystem: statx(2) with AT_STATX_FORCE_SYNC asks the server
// without opening anything, so it needs no descriptor, and no permission to read.
func (OS) Revalidate(name string) {
	const forceSync = 0x2000 // AT_STATX_FORCE_SYNC
	_, errno := statx(name, forceSync)
	if errno == syscall.ENOSYS || errno == syscall.EPERM { // an old kernel, or one that a sandbox keeps it from
		reopen(name)
	}
}

// IsMounted implements FileSystem. Linux says so since 5.8.
func (OS) IsMounted(name string) bool {
	const (
		dontSync  = 0x4000 // AT_STATX_DONT_SYNC
		mountRoot = 0x2000 // STATX_ATTR_MOUNT_ROOT
	)
	result, errno := statx(name, dontSync)
	attributes := binary.NativeEndian.Uint64(result[8:]) // stx_attributes
	known := binary.NativeEndian.Uint64(result[56:])     // stx_attributes_mask
	return errno != 0 || attributes&mountRoot != 0 || known&mountRoot == 0
}

// statx is statx(2) of what name leads to. The result is a struct statx, which is the
// same on every architecture.
func statx(name string, flags uintptr) (result [256]byte, errno syscall.Errno) {
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return result, syscall.EINVAL
	}
	const (
		cwd        = ^uintptr(99) // AT_FDCWD, which is -100
		basicStats = 0x7ff        // STATX_BASIC_STATS
	)
	_, _, errno = syscall.Syscall6(statxNumber(), cwd, uintptr(unsafe.Pointer(path)), flags, basicStats, uintptr(unsafe.Pointer(&result)), 0)
	return result, errno
}

// refresh implements Dir.Refresh for the directory fd, which was opened by name.
func refresh(fd uintptr, name string) {
	if forgetListing(fd) != 0 {
		OS{}.Revalidate(name)
	}
}

// forgetListing makes the kernel forget the listing of the directory fd. An NFS client
// then reads it with READDIRPLUS, or what NFSv4 has of that, which renews all that it
// knows about the entries.
func forgetListing(fd uintptr) (errno syscall.Errno) {
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	switch runtime.GOARCH {
	case "amd64":
		_, _, errno = syscall.Syscall6(221, fd, 0, 0, dontNeed, 0, 0)
	case "arm64", "riscv64", "loong64":
		_, _, errno = syscall.Syscall6(223, fd, 0, 0, dontNeed, 0, 0)
	case "386": // fadvise64_64, whose offset and length are two words each
		_, _, errno = syscall.Syscall6(272, fd, 0, 0, 0, 0, dontNeed)
	default:
		return syscall.ENOSYS
	}
	return errno
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
func (OS) IsRemote(name string) (is, isProgram bool) {
	const fuse = 0x65735546 // FUSE_SUPER_MAGIC
	var st syscall.Statfs_t
	if syscall.Statfs(name, &st) != nil {
		return false, false
	}
	return !slices.Contains(localTypes[:], uint32(st.Type)), st.Type == fuse
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
