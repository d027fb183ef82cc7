// SPDX-License-Identifier: Apache-2.0
// A manifest that knows which of its keys were read. Not thread-safe; one per document.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/values.h"
#include "cli/convert/convert.h"
#include "document/yaml.h"

namespace faultline::cli {

class Source;

// A key of the manifest, or the place where it would be. Cheap to copy; the Source must outlive it.
class Node {
 public:
  Node(Source& source, const boost::json::value* value, std::string path)
      : source_(&source), value_(value), path_(std::move(path)) {}

  // Reading a key marks it as read.
  [[nodiscard]] Node operator[](std::string_view key) const;
  [[nodiscard]] bool given() const { return value_ != nullptr && !value_->is_null(); }
  [[nodiscard]] const boost::json::value* value() const { return value_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::vector<Node> items() const;  // of a list; empty if it is none

  // Text or a number as text; nullopt: not given, or a finding was made.
  [[nodiscard]] std::optional<std::string> text() const;
  [[nodiscard]] std::vector<std::string> texts() const;
  [[nodiscard]] std::optional<double> number(double min, double max) const;
  [[nodiscard]] std::optional<api::Duration> duration() const;
  // "25" means 25 %.
  [[nodiscard]] std::optional<api::Probability> percent() const;

  // What is left out, with everything in it. Without effect if the key is not given.
  void left_out(std::string_view why) const;
  // The same for a key that must be there.
  void missing(std::string_view key, std::string_view why) const;
  void note(std::string_view why) const;
  // Everything in it counts as read.
  void read_all() const;
  // Whether it was left out or read as a whole.
  [[nodiscard]] bool told() const;

 private:
  Source* source_;
  const boost::json::value* value_;
  std::string path_;
};

class Source {
 public:
  // `document` and `findings` must outlive this.
  Source(std::string_view file, const document::YamlDocument& document,
         std::vector<Finding>& findings)
      : file_(file), document_(document), findings_(findings) {}

  // `root`: path of an object in the document; "" the whole.
  [[nodiscard]] Node node(const boost::json::value& value, std::string root) {
    return {*this, &value, std::move(root)};
  }
  void add(const std::string& path, std::string why, bool note);
  void read(const std::string& path) { read_.insert(path); }
  void cover(const std::string& path) { covered_.insert(path); }
  [[nodiscard]] bool covered(const std::string& path) const { return covered_.contains(path); }
  // Makes a finding of each key below `node` that nobody read, with the nearest of those that were
  // asked for beside it, and `then` at its end. Returns whether there was one.
  bool report_unread(const Node& node, std::string_view kind, std::string_view then = "");
  [[nodiscard]] int line(const std::string& path) const { return document_.line(path); }
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  [[nodiscard]] std::string nearest(const Node& parent, std::string_view key) const;

  std::string file_;
  const document::YamlDocument& document_;
  std::vector<Finding>& findings_;
  std::set<std::string> read_, covered_;
};

}  // namespace faultline::cli
