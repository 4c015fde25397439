client_key={{client_key}}
client_secret={{client_secret}}
token={{token}}
token_secret={{token_secret}}

# Percent-encoding as RFC 5849 section 3.6 wants it.
encode() {
  local LC_ALL=C text=$1 letter number index
  for ((index = 0; index < ${#text}; index++)); do
    letter=${text:index:1}
    case $letter in
      [A-Za-z0-9._~-]) printf '%s' "$letter" ;;
      *) printf -v number '%d' "'$letter"; printf '%%%02X' $((number & 255)) ;;
    esac
  done
}

# call METHOD ADDRESS [NAME=VALUE]...: the parameters become the query.
call() {
  local method=$1 address=$2 pair query= normalized signature header=
  shift 2
  for pair in "$@"; do query+="${query:+&}$(encode "${pair%%=*}")=$(encode "${pair#*=}")"; done
  local oauth=(
    "oauth_consumer_key=$(encode "$client_key")"
    "oauth_nonce=$(openssl rand -hex 16)"
    "oauth_signature_method={{method}}"
    "oauth_timestamp=$(date +%s)"
    "oauth_token=$(encode "$token")"
  )
  normalized=$(printf '%s\n' "${oauth[@]}" ${query//&/ } | sed 's/=/ /' | LC_ALL=C sort | sed 's/ /=/' | paste -sd '&' -)
  signature=$(printf '%s' "$method&$(encode "$address")&$(encode "$normalized")" |
    openssl dgst -{{hash}} -hmac "$(encode "$client_secret")&$(encode "$token_secret")" -binary | base64 | tr -d '\n')
  for pair in "${oauth[@]}" "oauth_signature=$(encode "$signature")"; do
    header+="${header:+, }${pair%%=*}=\"${pair#*=}\""
  done
  curl --silent --show-error --request "$method" --header "Authorization: OAuth $header" "$address${query:+?$query}"
}

call GET {{url}}
