# State of the Gluster volume $1. Reads only. Answer and rules as in facts.sh.
# gluster itself appends to its log under /var/log/glusterfs, as for anybody who asks.

section() {
	name=$1
	shift
	echo "@$name" >&2
	text=$("$@" </dev/null)
	status=$?
	printf '@%s %d %d\n%s\n' "$name" "$status" "${#text}" "$text"
}

gluster() {
	if [ "$(id -u)" = 0 ]; then
		timeout -k 1 60 /usr/sbin/gluster "$@"
	else
		timeout -k 1 60 sudo -n /usr/sbin/gluster "$@"
	fi
}

main() {
	LC_ALL=C
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	section info gluster volume info "$1" --xml
	section status gluster volume status "$1" --xml
	section heal gluster volume heal "$1" info summary --xml
	section peers gluster pool list
	section end true
}

main "$@"
