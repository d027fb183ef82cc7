// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kernel_fields.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>

#include "agent/kernel/libbpf_log.h"

namespace faultline::agent {
namespace {

struct Free {
  void operator()(btf* b) const { btf__free(b); }
};
using Btf = std::unique_ptr<btf, Free>;

struct Place {
  std::uint32_t bits;  // from the beginning of the outermost struct
  std::uint32_t type;
};

// Types without const, typedef and the like.
const btf_type* plain(const btf* b, std::uint32_t id) {
  return btf__type_by_id(b, static_cast<__u32>(btf__resolve_type(b, id)));
}

// Also in members without a name. Bit fields are not found.
std::optional<Place> find(const btf* b, const btf_type* type, std::string_view name,
                          std::uint32_t at) {
  const btf_member* members = btf_members(type);
  for (__u16 i = 0; i < btf_vlen(type); ++i) {
    if (btf_member_bitfield_size(type, i) != 0) continue;
    const std::uint32_t bits = at + btf_member_bit_offset(type, i);
    const std::string_view called = btf__name_by_offset(b, members[i].name_off);
    if (called == name) return Place{bits, members[i].type};
    const btf_type* inner = called.empty() ? plain(b, members[i].type) : nullptr;
    if (inner == nullptr || !btf_is_composite(inner)) continue;
    if (const auto found = find(b, inner, name, bits)) return found;
  }
  return std::nullopt;
}

// Adds the field to the struct that was added last. Integers are told apart by nothing but size.
Result<> add(btf* small, const btf* kernel, const KernelFields::Field& field,
             const int (&integers)[4]) {
  const auto missing = [&] {
    return fail(Errc::kNotFound,
                "the kernel's BTF has no integer " + field.name + " in struct " + field.type);
  };
  const int id = btf__find_by_name_kind(kernel, field.type.c_str(), BTF_KIND_STRUCT);
  if (id < 0) return missing();
  const auto place = find(kernel, btf__type_by_id(kernel, static_cast<__u32>(id)), field.name, 0);
  if (!place || !btf_is_int(plain(kernel, place->type))) return missing();
  const auto size = btf__resolve_size(kernel, place->type);
  for (int i = 0; i < 4; ++i)
    if (size == 1 << i) {
      const int rc = btf__add_field(small, field.name.c_str(), integers[i], place->bits, 0);
      if (rc < 0) return fail(from_libbpf(rc, "cannot add a field to a BTF"));
      return {};
    }
  return missing();
}

Result<Btf> make(const btf* kernel, const std::vector<KernelFields::Field>& fields) {
  Btf small(btf__new_empty());
  if (!small) return fail(from_errno(errno, "cannot make a BTF"));
  int integers[4] = {};
  for (int i = 0; i < 4; ++i) {
    const std::string name = "u" + std::to_string(8 << i);
    integers[i] = btf__add_int(small.get(), name.c_str(), std::size_t{1} << i, 0);
    if (integers[i] < 0) return fail(from_libbpf(integers[i], "cannot add an integer to a BTF"));
  }
  std::string last;
  for (const KernelFields::Field& field : fields) {
    if (field.type != last) {
      const int id = btf__find_by_name_kind(kernel, field.type.c_str(), BTF_KIND_STRUCT);
      const std::uint32_t size = id < 0 ? 0 : btf__type_by_id(kernel, static_cast<__u32>(id))->size;
      const int rc = btf__add_struct(small.get(), field.type.c_str(), size);
      if (rc < 0) return fail(from_libbpf(rc, "cannot add a struct to a BTF"));
      last = field.type;
    }
    if (auto added = add(small.get(), kernel, field, integers); !added) return fail(added.error());
  }
  return small;
}

}  // namespace

Result<KernelFields> KernelFields::read(const std::vector<Field>& fields) {
  const LibbpfLog quiet;
  const Btf kernel(btf__load_vmlinux_btf());
  if (!kernel) {
    Error error = from_errno(errno, "cannot read the kernel's BTF");
    error.code = Errc::kUnsupported;
    return fail(std::move(error));
  }
  const auto small = make(kernel.get(), fields);
  if (!small) return fail(small.error());
  __u32 size = 0;
  const void* data = btf__raw_data(small->get(), &size);
  Fd file(::memfd_create("fl_btf", MFD_CLOEXEC));
  if (data == nullptr || !file.valid() || ::write(file.get(), data, size) != ssize_t{size})
    return fail(from_errno(errno, "cannot write a BTF"));
  return KernelFields(std::move(file));
}

}  // namespace faultline::agent
