#!/bin/bash
# Boots PHP-FPM with Apache or nginx before it: heroku-php-apache2, heroku-php-nginx [options] [DOCUMENT_ROOT].
#
# Options as Heroku's: -C FILE is put into the server's configuration, -F FILE into PHP-FPM's pool, -i FILE is
# read after php.ini, -p PORT, -l FILE is followed into the log, -t checks the configurations only,
# -v is accepted. -c and -f replace a whole
# configuration.
set -eu

server=${0##*heroku-php-}
app=$PWD
include=
whole=
fpm_include=
fpm_whole=
check=no
logs=()
while getopts ':C:c:F:f:i:l:p:hvt' option; do
  case $option in
  C) include=$OPTARG ;;
  c) whole=$OPTARG ;;
  F) fpm_include=$OPTARG ;;
  f) fpm_whole=$OPTARG ;;
  i) ini=$OPTARG ;;
  l) logs+=("$OPTARG") ;;
  p) PORT=$OPTARG ;;
  h)
    sed -n '2,7s/^# //p' "$0"
    exit 0
    ;;
  t) check=yes ;;
  v) ;;
  *)
    echo "heroku-php-$server: there is no option -$OPTARG" >&2
    exit 2
    ;;
  esac
done
shift $((OPTIND - 1))
root=$app
if [ $# -gt 0 ] && [ -n "$1" ]; then root=$app/${1%/}; fi
if [ ! -d "$root" ]; then
  echo "heroku-php-$server: the document root ${1:-} is no folder of the app" >&2
  exit 1
fi

export PORT=${PORT:-8080}
export WEB_CONCURRENCY=${WEB_CONCURRENCY:-4}
export DOCUMENT_ROOT=$root
export HEROKU_APP_DIR=$app
run=$(mktemp -d "${TMPDIR:-/tmp}/php.XXXXXX")
export PVDIFY_RUN=$run
if [ -n "${ini:-}" ]; then
  mkdir -p "$run/conf.d"
  cp "$app/$ini" "$run/conf.d/app.ini"
  export PHP_INI_SCAN_DIR=$PHP_INI_SCAN_DIR:$run/conf.d
fi

# Where stdout is a pipe of another user it can't be opened by its path, so servers write here.
mkfifo "$run/log"
cat <>"$run/log" >&2 &
reader=$!
for log in ${logs[@]+"${logs[@]}"}; do
  touch "$log"
  tail -n 0 -F "$log" >&2 2>/dev/null &
done

# A file that ends in .php is a template, as on Heroku.
configuration() {
  case $1 in
  *.php) php "$app/$1" >"$run/$2" && echo "$run/$2" ;;
  *) echo "$app/$1" ;;
  esac
}

fpm=$run/php-fpm.conf
if [ -n "$fpm_whole" ]; then
  fpm=$(configuration "$fpm_whole" php-fpm.conf)
else
  spare=$((WEB_CONCURRENCY < 4 ? WEB_CONCURRENCY : 4))
  cat >"$fpm" <<EOF
[global]
error_log = $run/log
log_level = warning
log_limit = 10000
daemonize = no
[www]
listen = $run/fpm.sock
listen.mode = 0600
pm = dynamic
pm.max_children = $WEB_CONCURRENCY
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = $spare
catch_workers_output = yes
decorate_workers_output = no
clear_env = no
php_value[error_log] = $run/log
security.limit_extensions = .php .phtml
EOF
  if [ -n "$fpm_include" ]; then cat "$(configuration "$fpm_include" fpm-include.conf)" >>"$fpm"; fi
fi

# What is between two at signs in the template is put in; a line for another case is left out.
fallback=no
if [ ! -f "$root/.htaccess" ] && [ -f "$root/index.php" ]; then fallback=yes; fi
template=$PVDIFY_PHP/boot/$server.conf
conf=$run/$server.conf
if [ -n "$whole" ]; then
  whole=$(configuration "$whole" "whole.conf")
fi
if [ -n "$include" ]; then
  include=$(configuration "$include" "include.conf")
  fallback=no
fi
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
  *@FALLBACK@*) if [ $fallback = yes ]; then echo "${line//@FALLBACK@/}"; fi ;;
  *@INCLUDE@*) if [ -n "$include" ]; then echo "${line//@INCLUDE@/$include}"; fi ;;
  *@NO_INCLUDE@*) if [ -z "$include" ]; then echo "${line//@NO_INCLUDE@/}"; fi ;;
  *)
    line=${line//@PHP@/$PVDIFY_PHP}
    line=${line//@RUN@/$run}
    line=${line//@APP@/$app}
    line=${line//@ROOT@/$root}
    line=${line//@PORT@/$PORT}
    echo "$line"
    ;;
  esac
done <"$template" >"$conf"

as_root=()
if [ "$(id -u)" = 0 ]; then as_root=(--allow-to-run-as-root); fi
if [ $check = yes ]; then
  status=0
  php-fpm --test --fpm-config "$fpm" ${as_root[@]+"${as_root[@]}"} || status=$?
  if [ "$server" = nginx ]; then
    nginx -t -e stderr -p "$run" -c "${whole:-$conf}" || status=$?
  else
    apache2 -t -d "$run" -f "${whole:-$conf}" || status=$?
  fi
  kill "$reader"
  rm -rf "$run"
  exit "$status"
fi

php-fpm --nodaemonize --fpm-config "$fpm" ${as_root[@]+"${as_root[@]}"} &
fpm_pid=$!
# Who asks as soon as the port is open is to get an answer.
while [ -z "$fpm_whole" ] && [ ! -S "$run/fpm.sock" ] && kill -0 "$fpm_pid" 2>/dev/null; do sleep 0.02; done
if [ "$server" = nginx ]; then
  nginx -e stderr -p "$run" -c "${whole:-$conf}" &
else
  apache2 -DFOREGROUND -d "$run" -f "${whole:-$conf}" &
fi
server_pid=$!

stopping=no
stop() {
  stopping=yes
  # Requests in work are finished: the server first, then PHP.
  if [ "$server" = nginx ]; then kill -QUIT "$server_pid"; else kill -WINCH "$server_pid"; fi 2>/dev/null || true
}
trap stop TERM INT QUIT

status=0
wait -n "$fpm_pid" "$server_pid" || status=$?
while [ $stopping = yes ] && kill -0 "$server_pid" 2>/dev/null; do
  wait "$server_pid" || true
done
if [ $stopping = yes ]; then status=0; else echo "heroku-php-$server: a server ended (status $status)" >&2; fi
kill -TERM "$server_pid" 2>/dev/null || true
kill -QUIT "$fpm_pid" 2>/dev/null || true
wait "$server_pid" "$fpm_pid" 2>/dev/null || true
rm -rf "$run"
kill "$reader" 2>/dev/null || true
exit "$status"
