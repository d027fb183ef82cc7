#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads {"schema": ..., "documents": [...]} from a file; prints one line, 1 (valid) or 0 for each document."""
import json
import sys

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as f:
    given = json.load(f)
Draft202012Validator.check_schema(given["schema"])
validator = Draft202012Validator(given["schema"])
print("".join("1" if validator.is_valid(document) else "0" for document in given["documents"]))
