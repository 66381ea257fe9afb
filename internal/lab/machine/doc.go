// Package machine runs one machine of the lab: a root file system made of read-only layers with a writable one on top, in mount,
// process, host-name, IPC, network and cgroup namespaces of its own, with systemd or any other program as its first process.
//
// It needs root, Linux 5.14 or newer (cgroup.kill) and overlayfs, and no container engine: the whole machine is made by clone(2),
// mount(2) and pivot_root(2). Nothing outlives the process that started it: the first process of every machine gets SIGKILL when its
// parent ends, however it ends, and the kernel then ends the rest of the machine. What stays are directories: the machine's writable
// layer and its cgroups; [Launcher.Clean] removes them.
//
// A program that starts machines calls [Main] first thing in its main function (or TestMain).
//
// The package knows nothing of the fleet, of Debian or of addresses, and imports no other package of the lab. Outside Linux it compiles and
// refuses.
package machine
