// SPDX-License-Identifier: Apache-2.0
#include "document/yaml_write.h"

#include <yaml.h>

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <cctype>
#include <charconv>
#include <string>
#include <string_view>

#include "base/printable.h"

namespace faultline::document {
namespace {

namespace json = boost::json;

// kubectl reads YAML 1.1, where these too are no text.
bool is_word_of_yaml(std::string_view text) {
  if (text.size() > 5) return false;
  std::string small;
  for (const char c : text) small += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::ranges::any_of(
      std::array{"true", "false", "null", "yes", "no", "on", "off", "y", "n"},
      [&](const char* word) { return small == word; });
}

bool all_printable(const json::value& v) {
  if (v.is_string()) return is_printable(v.get_string());
  if (v.is_array()) return std::ranges::all_of(v.get_array(), all_printable);
  if (!v.is_object()) return true;
  return std::ranges::all_of(v.get_object(), [](const auto& entry) {
    return is_printable(entry.key()) && all_printable(entry.value());
  });
}

class Writer {
 public:
  explicit Writer(const json::value& value) {
    good_ = yaml_emitter_initialize(&emitter_) != 0;
    if (!good_) return;
    yaml_emitter_set_output(&emitter_, &append, &text_);
    yaml_emitter_set_width(&emitter_, -1);  // no folding
    // Where something is not safe to show, all that is not ASCII becomes an escape.
    yaml_emitter_set_unicode(&emitter_, all_printable(value) ? 1 : 0);
    yaml_event_t event;
    emit(event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(event, yaml_document_start_event_initialize(&event, nullptr, nullptr, nullptr, 1));
    write(value);
    emit(event, yaml_document_end_event_initialize(&event, 1));
    emit(event, yaml_stream_end_event_initialize(&event));
  }
  ~Writer() { yaml_emitter_delete(&emitter_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  [[nodiscard]] std::string text() && { return good_ ? std::move(text_) : std::string(); }

 private:
  static int append(void* to, unsigned char* bytes, std::size_t size) {
    static_cast<std::string*>(to)->append(reinterpret_cast<const char*>(bytes), size);
    return 1;
  }

  // The emitter takes the event, whatever it answers.
  void emit(yaml_event_t& event, int made) {
    good_ = good_ && made != 0 && yaml_emitter_emit(&emitter_, &event) != 0;
  }

  void scalar(std::string_view text, yaml_scalar_style_t style) {
    yaml_event_t event;
    // libyaml copies the text, and wants it without const.
    const auto* bytes = reinterpret_cast<const yaml_char_t*>(text.data());
    emit(event,
         yaml_scalar_event_initialize(&event, nullptr, nullptr, const_cast<yaml_char_t*>(bytes),
                                      static_cast<int>(text.size()), 1, 1, style));
  }

  // Words that YAML would read as something else, or not as one word, are quoted; the emitter
  // quotes what cannot stand plain.
  void text(std::string_view text) {
    const bool plain = !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) != 0 &&
                       !is_word_of_yaml(text) && text.find(": ") == text.npos;
    scalar(text, plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
  }

  template <class Number>
  void number(Number value) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
    scalar({buffer, end.ptr}, YAML_PLAIN_SCALAR_STYLE);
  }

  void write(const json::value& v) {
    using json::kind;
    yaml_event_t event;
    switch (v.kind()) {
      case kind::object:
        emit(event, yaml_mapping_start_event_initialize(&event, nullptr, nullptr, 1,
                                                        YAML_BLOCK_MAPPING_STYLE));
        for (const auto& [key, item] : v.get_object()) {
          text(key);
          write(item);
        }
        emit(event, yaml_mapping_end_event_initialize(&event));
        break;
      case kind::array:
        emit(event, yaml_sequence_start_event_initialize(&event, nullptr, nullptr, 1,
                                                         YAML_BLOCK_SEQUENCE_STYLE));
        for (const auto& item : v.get_array()) write(item);
        emit(event, yaml_sequence_end_event_initialize(&event));
        break;
      case kind::string:
        text(v.get_string());
        break;
      case kind::double_:
        number(v.get_double());
        break;
      case kind::int64:
        number(v.get_int64());
        break;
      case kind::uint64:
        number(v.get_uint64());
        break;
      case kind::bool_:
        scalar(v.get_bool() ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
        break;
      case kind::null:
        scalar("~", YAML_PLAIN_SCALAR_STYLE);
        break;
    }
  }

  yaml_emitter_t emitter_{};
  std::string text_;
  bool good_ = false;
};

}  // namespace

std::string write_yaml(const json::value& value) { return Writer(value).text(); }

}  // namespace faultline::document
