# SPDX-License-Identifier: GPL-2.0-only
# The program in a page, as the page shows it: scdoc makes one backslash of two.
/^```/ { code = !code; next }
code { gsub(/\\\\/, "\\"); print }
