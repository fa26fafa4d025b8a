# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx's settings for the site.  site_sources.py copies this file into the folder of the pages."""

project = "kconform"
extensions = ["myst_parser"]
root_doc = "README"
nitpicky = True

html_theme = "furo"
html_title = "kconform"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": list[str]()}
html_copy_source = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False

# The anchors that GitHub makes, of all headings that documents link to.
myst_heading_anchors = 4
