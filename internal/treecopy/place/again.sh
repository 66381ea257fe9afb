# Becomes an agent that runs here already, as process $1. $2: its SHA-256. $3: how it is to serve. Status 69: it can't.
sum=$(sha256sum 2>/dev/null <"/proc/$1/exe") && [ "${sum%% *}" = "$2" ] || exit 69
exec "/proc/$1/exe" "$3"
