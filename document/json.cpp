// SPDX-License-Identifier: Apache-2.0
#include "document/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cstdint>
#include <string>

namespace faultline::document {
namespace {

namespace json = boost::json;
using boost::system::error_code;

// What boost::json::parser does with the parser's events, but for on_double() and the budget.
struct Builder {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  explicit Builder(const Budget& budget) : tree(budget, nullptr) {}

  Tree tree;
  std::string part;  // of a key or a text that comes in several

  // Whatever the tree refuses ends the parser; its own words are taken then.
  static bool go_on(bool good, error_code& ec) {
    if (!good) ec = json::error::exception;
    return good;
  }
  bool value(json::value v, error_code& ec) { return go_on(tree.scalar(std::move(v), 0), ec); }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& ec) { return go_on(tree.begin_object(0), ec); }
  bool on_object_end(std::size_t, error_code&) {
    tree.end();
    return true;
  }
  bool on_array_begin(error_code& ec) { return go_on(tree.begin_array(0), ec); }
  bool on_array_end(std::size_t, error_code&) {
    tree.end();
    return true;
  }
  bool on_key_part(json::string_view text, std::size_t, error_code&) {
    part += text;
    return true;
  }
  bool on_key(json::string_view text, std::size_t, error_code& ec) {
    part += text;
    const bool good = tree.key(part, 0) && tree.problems().empty();
    part.clear();
    return go_on(good, ec);
  }
  bool on_string_part(json::string_view text, std::size_t, error_code&) {
    part += text;
    return true;
  }
  bool on_string(json::string_view text, std::size_t, error_code& ec) {
    if (part.empty()) return value(json::value(text), ec);
    part += text;
    const bool good = value(json::value(std::string_view(part)), ec);
    part.clear();
    return good;
  }
  // The whole text is one buffer, so that a number comes in one piece.
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t number, json::string_view, error_code& ec) {
    return value(number, ec);
  }
  bool on_uint64(std::uint64_t number, json::string_view, error_code& ec) {
    return value(number, ec);
  }
  bool on_double(double, json::string_view text, error_code& ec) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data(), end, number);
    if (failed == std::errc::result_out_of_range) {
      ec = json::error::exponent_overflow;
      return false;
    }
    if (failed != std::errc{} || stop != end) {
      ec = json::error::syntax;
      return false;
    }
    return value(number, ec);
  }
  bool on_bool(bool b, error_code& ec) { return value(b, ec); }
  bool on_null(error_code& ec) { return value(nullptr, ec); }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }
};

}  // namespace

Result<json::value> parse_json(std::string_view text, const Budget& budget) {
  const auto bad = [](const std::string& why) {
    return fail(Errc::kInvalid, "not valid JSON: " + why);
  };
  if (text.size() > budget.bytes) return bad("larger than " + size_words(budget.bytes));
  try {
    json::parse_options options;
    options.max_depth = budget.depth + 1;  // the tree says it with the place
    json::basic_parser<Builder> parser{options, budget};
    error_code ec;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
    Tree& tree = parser.handler().tree;
    if (!tree.problems().empty()) {
      const Problem& first = tree.problems().front();
      return bad((first.path.empty() ? "" : first.path + ": ") + first.message);
    }
    if (!ec && read < text.size()) ec = json::error::extra_data;
    if (ec) return bad(ec.message());
    return tree.take(nullptr);
  } catch (const std::exception& e) {
    return fail(Errc::kInternal, std::string("JSON: ") + e.what());
  }
}

}  // namespace faultline::document
