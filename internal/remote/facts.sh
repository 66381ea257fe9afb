# Facts of one host. Reads only; run by an ordinary user; POSIX sh.
# The answer is a list of sections, each "@NAME STATUS LENGTH\n", LENGTH bytes, "\n". What a command says on stderr goes to
# stderr, after a line "@NAME".
# All of it is one function that is called in the last line, so that a script that was cut on its way does nothing, and so
# that no command reads the rest of it as its input.

section() {
	name=$1
	shift
	echo "@$name" >&2
	text=$("$@" </dev/null)
	status=$?
	printf '@%s %d %d\n%s\n' "$name" "$status" "${#text}" "$text"
}

have() { command -v "$1" >/dev/null 2>&1; }

identity() {
	echo "hostname=$(uname -n)"
	echo "user=$(id -un)"
	echo "kernel=$(uname -r)"
	echo "machine=$(uname -m)"
	echo "cpus=$(nproc)"
	echo "machine_id=$(cat /etc/machine-id 2>/dev/null)"
	zone=$(readlink -f /etc/localtime)
	case $zone in
	/usr/share/zoneinfo/*) echo "timezone=${zone#/usr/share/zoneinfo/}" ;;
	*) echo "timezone=$(cat /etc/timezone 2>/dev/null)" ;;
	esac
	while read -r key value _; do
		case $key in
		MemTotal: | MemAvailable: | SwapTotal:) echo "$key$value" ;;
		esac
	done </proc/meminfo
}

packages() { dpkg-query -W -f '${db:Status-Abbrev}\t${binary:Package}\t${Version}\n'; }

# df asks every file system and can hang on one whose server is gone, which mountinfo can't.
sizes() { timeout -k 1 5 df -P -B1 -T; }

# Each line: the service's name, a tab, and the first line with a digit of what the program says of its version: on stdout,
# and on stderr where that is empty (varnishd, keepalived). php-fpm without -n would make opcache's lock file.
versions() {
	say() {
		service=$1
		shift
		have "$1" || return 0
		said=$(timeout -k 1 5 "$@" 2>/dev/null)
		[ -n "$said" ] || said=$(timeout -k 1 5 "$@" 2>&1)
		printf '%s\t%s\n' "$service" "$(printf '%s\n' "$said" | grep -m 1 '[0-9]')"
	}
	say haproxy haproxy -v
	say varnish varnishd -V
	say apache apache2 -v
	say keepalived keepalived --version
	say redis redis-server --version
	if have mariadbd; then say mariadb mariadbd --version; else say mariadb mysqld --version; fi
	say gluster gluster --version
	for fpm in /usr/sbin/php-fpm*; do
		[ -x "$fpm" ] && say php "$fpm" -n -v
	done
	for dir in /usr/lib/rabbitmq/lib/rabbitmq_server-*; do
		[ -d "$dir" ] && printf 'rabbitmq\t%s\n' "${dir##*-}"
	done
	return 0
}

# Settings that hosts of a role should share and that anybody may read: each line a SHA-256, two spaces, the path.
settings() {
	for file in /etc/sysctl.conf /etc/sysctl.d/*.conf /etc/security/limits.conf /etc/security/limits.d/*.conf; do
		[ -f "$file" ] && sha256sum "$file"
	done
	return 0
}

# A Redis server writes where it listens into its own title: redis-server 0.0.0.0:6379. Each line: address, space, port.
redis() {
	ps -e -o args= | sed -n "s/^[^ ]*redis-server \([^ ]*\):\([0-9][0-9]*\).*/\1 \2/p" | sort -u -k 2n
}

main() {
	LC_ALL=C
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	section identity identity
	section os cat /etc/os-release
	section packages packages
	section listeners ss -H -l -t -n
	section units systemctl list-units --type=service --all --full --plain --no-legend --no-pager
	section mounts cat /proc/self/mountinfo
	section sizes sizes
	section addresses ip -o addr show
	section versions versions
	section settings settings
	section redis redis
	section end true
}

main
