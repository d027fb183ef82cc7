// SPDX-License-Identifier: Apache-2.0
// A fault is a map with one key, its name.
#include "api/detail/encode.h"
#include "api/detail/type_name.h"

namespace faultline::api::detail {

void decode_fault(Decoder& d, const json::value& v, Fault& out) {
  if (!v.is_object()) return d.expected("a map with the name of a fault", v);
  const auto& object = v.get_object();
  if (object.size() != 1) {
    std::vector<std::string> given;
    for (const auto& [key, value] : object) given.emplace_back(key);
    return d.problem("expected one fault, got " +
                     (given.empty() ? "none"
                                    : std::to_string(given.size()) + ": " + joined(given) +
                                          " (begin each with \"- \")"));
  }
  const auto& [key, value] = *object.begin();
  std::vector<std::string_view> names;
  bool found = false;
  boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, FaultSpec>>(
      [&]<class T>(std::type_identity<T>) {
        names.push_back(kFaultName<T>);
        if (found || std::string_view(key) != kFaultName<T>) return;
        found = true;
        const Decoder::Step step(d, key);
        // "- networkPartition:" without anything is a fault whose fields are all left out.
        const json::value nothing = json::object();
        decode_struct(d, value.is_null() ? nothing : value, out.spec.emplace<T>());
      });
  if (!found) d.unknown_key("fault", key, names, nearest_word(key, names));
}

json::value encode_fault(const Encoder& e, const Fault& fault) {
  return std::visit(
      [&](const auto& spec) -> json::value {
        return json::object{{fault.name(), encode_struct(e, spec)}};
      },
      fault.spec);
}

bool is_empty(const json::value& v) {
  return v.is_null() || (v.is_string() && v.get_string().empty()) ||
         (v.is_array() && v.get_array().empty()) || (v.is_object() && v.get_object().empty());
}

}  // namespace faultline::api::detail
