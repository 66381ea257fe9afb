# Writes $3 to the file $2 in the folder $1, whole or not at all, and on disk. One that is there is left: the same is no error.
set -eu
file=$1/$2
if [ -e "$file" ]; then
	[ "$(cat "$file" && echo .)" = "$3." ] && exit 0
	exit 3
fi
# Servers read what ends in .cnf.
new=$(mktemp "$1/.$2.XXXXXX")
trap 'rm -f "$new"' EXIT
printf %s "$3" >"$new"
chmod 0644 "$new"
sync "$new"
mv -T "$new" "$file"
sync "$1"
