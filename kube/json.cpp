// SPDX-License-Identifier: Apache-2.0
#include "kube/json.h"

#include <boost/json.hpp>
#include <new>

namespace faultline::kube {
namespace {

// Memory up to a bound: std::bad_alloc beyond.
class Bounded final : public boost::json::memory_resource {
 public:
  explicit Bounded(std::size_t most) : left_(most) {}

 private:
  void* do_allocate(std::size_t size, std::size_t align) override {
    if (size > left_ || align > __STDCPP_DEFAULT_NEW_ALIGNMENT__) throw std::bad_alloc();
    void* memory = ::operator new(size);
    left_ -= size;
    return memory;
  }
  // Boost.JSON 1.81 gives back strings with another alignment than it asked for.
  void do_deallocate(void* memory, std::size_t size, std::size_t) override {
    ::operator delete(memory);
    left_ += size;
  }
  [[nodiscard]] bool do_is_equal(
      const boost::json::memory_resource& other) const noexcept override {
    return this == &other;
  }
  std::size_t left_;
};

std::optional<boost::json::object> parse(std::string_view text, boost::json::storage_ptr memory) {
  boost::json::parse_options options;
  options.max_depth = 512;
  boost::system::error_code ec;
  boost::json::value parsed = boost::json::parse(text, ec, std::move(memory), options);
  if (ec || !parsed.is_object()) return std::nullopt;
  return std::move(parsed.get_object());
}

}  // namespace

std::optional<boost::json::object> parse_object(std::string_view text) { return parse(text, {}); }

std::optional<boost::json::object> parse_object(std::string_view text, std::size_t most) {
  try {
    return parse(text, boost::json::make_shared_resource<Bounded>(most));
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
}

}  // namespace faultline::kube
