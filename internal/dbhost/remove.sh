# Removes the file $2 from the folder $1 if it is $3. Also what a writing that was killed left.
set -eu
file=$1/$2
rm -f "$1/.$2."??????
if [ -e "$file" ]; then
	[ "$(cat "$file" && echo .)" = "$3." ] || exit 3
	rm -f "$file"
fi
sync "$1"
