# SPDX-License-Identifier: GPL-2.0
"""How Sphinx builds these pages; tools/docs runs it."""

project = 'graceslab'
author = 'the graceslab developers'
project_copyright = author
extensions = []
exclude_patterns = ['examples']
root_doc = 'index'
primary_domain = 'c'
highlight_language = 'none'
html_theme = 'alabaster'
html_theme_options = {
    'description': 'Object caches and headless RCU-deferred freeing for kernel modules',
    'page_width': '1100px',
}
html_show_sourcelink = False
html_copy_source = False
