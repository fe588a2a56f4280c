# Org on standard input, HTML on standard output, made as GitHub makes it.
require "org-ruby"

org = $stdin.read.force_encoding("UTF-8")
parser = Orgmode::Parser.new(org, allow_include_files: false, skip_syntax_highlight: true)
$stdout.write(parser.to_html)
