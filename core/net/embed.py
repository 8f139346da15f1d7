#!/usr/bin/env python3
"""Writes a file as a C array: embed.py INPUT OUTPUT NAME."""
import sys

with open(sys.argv[1], 'rb') as file:
    data = file.read()
name = sys.argv[3]
lines = [', '.join(f'0x{byte:02x}' for byte in data[at:at + 16]) for at in range(0, len(data), 16)]
with open(sys.argv[2], 'w') as file:
    file.write('/* Made by the build. */\n')
    file.write(f'extern const unsigned char {name}[];\nextern const unsigned {name}_size;\n')
    file.write(f'_Alignas(8) const unsigned char {name}[] = {{\n\t' + ',\n\t'.join(lines) + '\n};\n')
    file.write(f'const unsigned {name}_size = sizeof {name};\n')
