// SPDX-License-Identifier: Apache-2.0
// What the tests of `convert` share.
#pragma once

#include <string>

namespace faultline::cli {

// One of Chaos Mesh on one pod of shop with the label app=pay.
inline std::string manifest(const std::string& kind, const std::string& spec) {
  return "apiVersion: chaos-mesh.org/v1alpha1\nkind: " + kind +
         "\nmetadata: {name: x, namespace: shop}\nspec:\n"
         "  mode: one\n  duration: 20s\n  selector: {labelSelectors: {app: pay}}\n" +
         spec;
}

inline std::string without_blanks(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\n' && c != '"') out += c;
  return out;
}

}  // namespace faultline::cli
