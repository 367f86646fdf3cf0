#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# short.sh FILE LINES: it has fewer lines
[ "$(wc -l <"$1")" -lt "$2" ]
