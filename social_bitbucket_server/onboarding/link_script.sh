#!/bin/sh
# Makes an application link in Bitbucket, or updates the one that is there, and fills in its Incoming Authentication.
# Run it as a Bitbucket admin with: sh link.sh
# It needs curl. Options after its name are given to curl: sh link.sh --cacert company-ca.pem
# Without a terminal it takes BITBUCKET_USER and BITBUCKET_PASSWORD, or BITBUCKET_TOKEN, from the environment. The token
# is an OAuth 2 token with the admin permission; Bitbucket refuses HTTP access tokens for application links.
# Bitbucket 10 and later take no passwords from programs unless basic authentication is switched on. The worksheet
# always works.

set -eu

# Values: link_script() writes them in place of these lines.
base_url=''
application_url=''
consumer_key=''
link_fields=''
consumer_fields=''
links_path=''
before_link_id=''
after_link_id=''
media_type=''
no_check=''
# End of the values.

newline='
'

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

by_hand() {
    fail "$@" 'Or follow the worksheet by hand, which you have from where this script comes from.'
}

# call METHOD PATH BODY [CURL'S OPTIONS]: leaves the answer in $status and $body. The password goes to curl by a pipe.
call() {
    method=$1 address=$base_url$2 sent=$3
    shift 3
    if [ -n "$sent" ]; then
        set -- "$@" --header "Content-Type: $media_type" --data-binary "$sent"
    fi
    answer=$(
        printf '%s\n' "$login" |
            curl --silent --show-error --config - --globoff --max-time 30 --request "$method" \
                --header "Accept: $media_type" --header "$no_check" \
                --write-out '\n%{http_code}' "$@" "$address"
    ) || not_reached $?
    status=${answer##*"$newline"}
    body=${answer%"$newline"*}
}

not_reached() {
    case $1 in
    35 | 51 | 60 | 77)
        fail "The certificate of $base_url is not trusted here; curl says why above." \
            'With a CA of your own: sh link.sh --cacert company-ca.pem, or CURL_CA_BUNDLE=company-ca.pem sh link.sh'
        ;;
    *)
        fail "Bitbucket could not be reached at $base_url; curl says why above." \
            'Run the script where that address can be opened, or have the base URL corrected.'
        ;;
    esac
}

# what_it_says: Bitbucket's own words about a refusal
what_it_says() {
    said=$(printf '%s' "$body" | tr -d '\000-\037\177' |
        sed "s/\\\\\"/'/g" |
        sed -n 's/.*"message" *: *"\([^"]*\)".*/\1/p' | cut -c 1-300)
    printf '%s' "Bitbucket says: ${said:-status $status}"
}

# not_permitted: one reason for each refusal of a login
not_permitted() {
    case $body in
    *[Cc][Aa][Pp][Tt][Cc][Hh][Aa]*)
        by_hand "Bitbucket wants a CAPTCHA from this administrator (status $status)." \
            'Log in to Bitbucket once in a browser, and run this again.'
        ;;
    *[Ww]eb[Ss]udo* | *[Aa]dministrator\ [Aa]ccess*)
        by_hand "Bitbucket wants this administrator to confirm who they are (status $status)." \
            'Browsers alone can do that.'
        ;;
    *[Bb]asic\ [Aa]uth*disabled* | *[Bb]asic\ [Aa]uth*not\ allowed* | *[Bb]asic\ [Aa]uth*not\ permitted*)
        by_hand "Programs may not log in to this Bitbucket with a password (status $status)." \
            'Basic authentication is off, as it is by default in Bitbucket 10 and later.' \
            'Allow it under Administration, Authentication, and switch it off again afterwards.'
        ;;
    esac
    if [ -n "$token" ]; then
        by_hand "Bitbucket does not accept this token for application links (status $status)." \
            'It takes an OAuth 2 token with the admin permission, of a Bitbucket admin. HTTP access tokens are refused.'
    fi
    if [ "$status" = 401 ]; then
        by_hand "Bitbucket does not accept this user name and password (status $status)."
    fi
    by_hand "Bitbucket does not let this user administer application links (status $status)." \
        'The user is not a Bitbucket admin.'
}

# require TEXT...: go on after a success only; TEXT explains a value that was refused
require() {
    case $status in
    2??) ;;
    401 | 403) not_permitted ;;
    3??)
        by_hand "A redirect came back from $base_url (status $status)." \
            'The base URL is not the one that Bitbucket has itself, or a single sign-on stands in front of its REST.'
        ;;
    404)
        by_hand "There are no application links at $base_url (status 404)." \
            'Have the base URL corrected: it is the address of Bitbucket'"'"'s first page, without /dashboard.'
        ;;
    400 | 409) by_hand "$(what_it_says)" "$@" ;;
    *) by_hand "$(what_it_says)" 'Try again later.' ;;
    esac
}

# find_link: the id of the link to the Application URL. Records are what stands between quotation marks, by turns
# outside of strings, which is JSON's structure, and inside.
find_link() {
    printf '%s' "$body" | tr -d '\r\n' | sed 's/\\\\/\\u005c/g; s/\\"/\\u0022/g; s/\\\//\//g' |
        application_url=$application_url awk '
            BEGIN { RS = "\""; wanted = ENVIRON["application_url"]; sub(/\/+$/, "", wanted) }
            NR % 2 {
                for (place = 1; place <= length($0); place++) {
                    character = substr($0, place, 1)
                    if (character == "{") { depth++; id[depth] = ""; found[depth] = 0 }
                    if (character == "}") { if (found[depth] && !done) { print id[depth]; done = 1 } depth-- }
                }
                is_value = $0 ~ /: *$/
                next
            }
            !is_value { name = $0; next }
            name == "id" { id[depth] = $0 }
            name == "rpcUrl" || name == "displayUrl" { sub(/\/+$/, ""); if ($0 == wanted) found[depth] = 1 }
        '
}

# ask QUESTION: leaves in $answer what was typed
ask() {
    printf '%s' "$1" >/dev/tty
    IFS= read -r answer </dev/tty || fail 'Nothing was typed, and nothing was changed.'
}

ask_secretly() {
    terminal=$(stty -g </dev/tty)
    trap 'stty "$terminal" </dev/tty' EXIT
    trap 'exit 130' HUP INT TERM
    stty -echo </dev/tty
    ask "$1"
    stty "$terminal" </dev/tty
    trap - EXIT HUP INT TERM
    printf '\n' >/dev/tty
}

# quoted TEXT: TEXT as a quoted value in curl's configuration
quoted() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}

command -v curl >/dev/null || fail 'This script needs curl.'
printf '%s\n' "On $base_url this makes an application link to" "$application_url" \
    "with the consumer key $consumer_key, or updates the one that is there."
case $base_url in
http://*) printf '%s\n' 'This base URL is not encrypted: anyone who listens on the way can read the password.' ;;
esac

token=${BITBUCKET_TOKEN-}
user=${BITBUCKET_USER-}
password=${BITBUCKET_PASSWORD-}
if [ -z "$token" ] && { [ -z "$user" ] || [ -z "$password" ]; } && ! (: </dev/tty) 2>/dev/null; then
    fail 'Nobody can type here; set BITBUCKET_USER and BITBUCKET_PASSWORD, or BITBUCKET_TOKEN.'
fi
if [ -z "$token" ] && [ -z "$user" ]; then
    ask 'User name of a Bitbucket admin (press Enter to use an OAuth 2 token): '
    user=$answer
fi
if [ -z "$token" ] && [ -z "$user" ]; then
    ask_secretly 'OAuth 2 token with the admin permission: '
    token=$answer
fi
if [ -z "$token" ] && [ -z "$password" ]; then
    ask_secretly "Password of $user: "
    password=$answer
fi
if [ -n "$token" ]; then
    login="header = $(quoted "Authorization: Bearer $token")"
else
    login="user = $(quoted "$user:$password")"
fi

call GET "$links_path" '' "$@"
require 'Nothing was changed.'
case $body in
'{'* | '['*) ;;
*) by_hand "What answers at $base_url is not Bitbucket's REST." \
    'Have the base URL corrected, or let the sign-on in front of Bitbucket pass requests below /rest.' ;;
esac
link=$(find_link)
if [ -n "$link" ]; then
    done='updated'
else
    done='made'
    call PUT "$links_path" "$link_fields" "$@"
    require "Another link may have the Application URL $application_url, written a little differently:" \
        'delete that one in Bitbucket, and run this again.'
    link=$(printf '%s' "$body" | tr -d '\r\n' | sed 's/\\\//\//g' | sed -n 's/.*"href" *: *"\([^"]*\)".*/\1/p')
    link=${link%/}
    link=${link##*/}
    if [ -z "$link" ]; then
        call GET "$links_path" '' "$@"
        link=$(find_link)
    fi
fi
case $link in
'' | *[!A-Za-z0-9._-]*) by_hand 'Bitbucket does not say which link it is. Run this again.' ;;
esac

call PUT "$before_link_id$link$after_link_id" "$consumer_fields" "$@"
require 'The link is there, but its Incoming Authentication is not filled in.' \
    "Another link may have the consumer key $consumer_key: delete that one, and run this again." \
    'Or Bitbucket cannot read the public key.'

printf '%s\n' "The application link is $done." \
    'Next: test the connection on the page where this script comes from, and log in there once.'
