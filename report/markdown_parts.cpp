// SPDX-License-Identifier: Apache-2.0
#include "report/markdown_parts.h"

namespace faultline::report {

std::string md_text(std::string_view text) {
  constexpr std::string_view kMarks = "|`*_\\[]#~$";
  std::string out;
  if (text.starts_with("- ") || text.starts_with("+ ")) out += '\\';  // the beginning of a list
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (kMarks.find(c) != kMarks.npos) out += '\\';
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == ':' && text.substr(i + 1).starts_with("//"))
      out += "&#58;";
    else if (c == '.' && text.substr(0, i).ends_with("www"))
      out += "&#46;";
    else
      out += c;
  }
  return out;
}

void md_table(std::string& out, const MdRow& head, const std::vector<MdRow>& rows) {
  std::string line = "|", rule = "|";
  for (const std::string& name : head) {
    const bool number = name.starts_with('>');
    line += " " + (number ? name.substr(1) : name) + " |";
    rule += number ? " ---: |" : " --- |";
  }
  out += line + "\n" + rule + "\n";
  for (const MdRow& row : rows) {
    out += "|";
    for (const std::string& text : row) out += " " + (text.empty() ? " " : md_text(text)) + " |";
    out += "\n";
  }
  out += "\n";
}

}  // namespace faultline::report
