#!/bin/sh
# The words after the image's name mean what they mean with Logstash's image: flags, `logstash` with flags, or a command.
case "${1:-}" in
    logstash | bin/logstash | /usr/share/logstash/bin/logstash)
        shift
        exec ferrostash "$@"
        ;;
    '' | -*) exec ferrostash "$@" ;;
    *) exec "$@" ;;
esac
