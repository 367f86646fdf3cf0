#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The header alone is C++ as well: cxx.sh HEADER
exec "${CXX:-g++}" -std=c++11 -Wall -Wextra -Werror -fsyntax-only -x c++ "$1"
