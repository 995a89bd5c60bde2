"""Fetches the package index of Debian stable, for machines without apt. fetch_index.py OUTPUT"""
import lzma
import sys
import urllib.request

INDEX = "https://deb.debian.org/debian/dists/stable/main/binary-amd64/Packages.xz"

with urllib.request.urlopen(INDEX, timeout=60) as answer:
    text = lzma.decompress(answer.read())
with open(sys.argv[1], "wb") as output:
    output.write(text)
