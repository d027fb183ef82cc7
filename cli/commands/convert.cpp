// SPDX-License-Identifier: Apache-2.0
#include "cli/convert/convert.h"

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <set>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/documents.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int kExitLeftOut = 1;

// An experiment or a game day as a file of its own.
struct Page {
  std::string name, yaml;
};

std::vector<Page> pages_of(const Conversion& all) {
  const auto head = [](const auto& one) {
    return "# Converted from " + printable(one.file) +
           (one.line > 0 ? ":" + std::to_string(one.line) : "") + "\n";
  };
  std::vector<Page> pages;
  for (const Converted& one : all.experiments)
    pages.push_back({one.experiment.metadata.name, head(one) + api::to_yaml(one.experiment)});
  for (const ConvertedDay& one : all.days)
    pages.push_back({one.day.metadata.name, head(one) + api::to_yaml(one.day)});
  return pages;
}

// A file name for each; two of one name get a number.
std::vector<fs::path> file_names(const std::vector<Page>& all, const fs::path& folder) {
  std::set<std::string> taken;
  std::vector<fs::path> out;
  for (const Page& one : all) {
    std::string name = one.name;
    for (int n = 2; !taken.insert(name).second; ++n) name = one.name + "-" + std::to_string(n);
    out.push_back(folder / (name + ".yaml"));
  }
  return out;
}

// All or nothing as far as names go: what is there already is never overwritten.
Result<> write_files(const std::vector<Page>& all, const std::vector<fs::path>& names,
                     const fs::path& folder) {
  for (const fs::path& name : names)
    if (std::error_code ec; fs::exists(fs::symlink_status(name, ec)))
      return fail(Errc::kInvalid, name.string() + " exists already; choose another folder");
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) return fail(Errc::kInvalid, folder.string() + ": " + ec.message());
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::ofstream out(names[i], std::ios::binary);
    out << all[i].yaml;
    out.close();
    if (!out) return fail(Errc::kInvalid, names[i].string() + ": cannot be written");
  }
  return {};
}

json::array json_of(const std::vector<Finding>& findings) {
  json::array out;
  for (const Finding& f : findings)
    out.push_back(json::object{{"file", f.file},
                               {"line", f.line},
                               {"field", f.field},
                               {"why", f.why},
                               {"leftOut", !f.note}});
  return out;
}

}  // namespace

Result<int> run_convert(Invocation& call, Console& console) {
  Conversion all;
  for (const std::string& file : call.arguments) {
    std::string name;
    const auto text = read_document(call, console, file, name);
    if (!text) return fail(text.error());
    auto one = convert_chaos_mesh(*text, name);
    if (!one) return fail(one.error());
    std::ranges::move(one->experiments, std::back_inserter(all.experiments));
    std::ranges::move(one->days, std::back_inserter(all.days));
    std::ranges::move(one->findings, std::back_inserter(all.findings));
  }
  const bool write = all.complete() || !call.has("strict");
  if (!write) {
    all.experiments.clear();
    all.days.clear();
  }
  const std::vector<Page> pages = pages_of(all);
  std::vector<fs::path> names;
  if (const auto folder = call.get("directory"); folder && write) {
    names = file_names(pages, *folder);
    if (const auto written = write_files(pages, names, *folder); !written)
      return fail(written.error());
  }
  const int code = all.complete() ? kExitMet : kExitLeftOut;
  if (call.json()) {
    json::array experiments;
    for (const Converted& one : all.experiments)
      experiments.push_back(json::object{
          {"file", one.file}, {"line", one.line}, {"experiment", api::to_json(one.experiment)}});
    json::array days;
    for (const ConvertedDay& one : all.days)
      days.push_back(
          json::object{{"file", one.file}, {"line", one.line}, {"gameday", api::to_json(one.day)}});
    print_json(console.out, json::object{{"experiments", std::move(experiments)},
                                         {"gamedays", std::move(days)},
                                         {"findings", json_of(all.findings)},
                                         {"exitCode", code}});
    return code;
  }
  for (const Finding& finding : all.findings) console.err << printable(finding.text()) << "\n";
  if (!write)
    console.err << "faultline: something would be left out, so nothing is written (--strict)\n";
  for (const fs::path& name : names) console.out << printable(name.string()) << "\n";
  if (call.has("directory")) return code;
  for (std::size_t i = 0; i < pages.size(); ++i)
    console.out << (i > 0 ? "---\n" : "") << pages[i].yaml;
  return code;
}

}  // namespace faultline::cli
