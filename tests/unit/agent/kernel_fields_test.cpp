// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kernel_fields.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <memory>
#include <string_view>

namespace faultline::agent::test {
namespace {

struct Free {
  void operator()(btf* b) const { btf__free(b); }
};
using Btf = std::unique_ptr<btf, Free>;

// In bits from the beginning of the struct; -1: it has no member of that name.
long offset_in(const btf* b, const char* type, std::string_view member) {
  const int id = btf__find_by_name_kind(b, type, BTF_KIND_STRUCT);
  if (id < 0) return -1;
  const btf_type* found = btf__type_by_id(b, static_cast<__u32>(id));
  for (__u16 i = 0; i < btf_vlen(found); ++i)
    if (btf__name_by_offset(b, btf_members(found)[i].name_off) == member)
      return btf_member_bit_offset(found, i);
  return -1;
}

class KernelFieldsRead : public testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_) GTEST_SKIP() << "this kernel has no BTF";
  }
  const Btf kernel_{btf__load_vmlinux_btf()};
};

TEST_F(KernelFieldsRead, AreWhereTheKernelsBtfHasThem) {
  const auto fields =
      KernelFields::read({{"task_struct", "pid"}, {"task_struct", "tgid"}, {"sock", "sk_err"}});
  ASSERT_TRUE(fields) << fields.error().message;
  const Btf small(btf__parse(fields->path().c_str(), nullptr));
  ASSERT_TRUE(small);
  EXPECT_LT(btf__type_cnt(small.get()), 10U);
  for (const auto& [type, name] :
       {std::pair{"task_struct", "pid"}, {"task_struct", "tgid"}, {"sock", "sk_err"}}) {
    EXPECT_GT(offset_in(kernel_.get(), type, name), 0) << name;
    EXPECT_EQ(offset_in(small.get(), type, name), offset_in(kernel_.get(), type, name)) << name;
  }
}

TEST_F(KernelFieldsRead, AreFoundInWhatHasNoName) {
  // sk_buff keeps its mark in a union within a struct within a union, none of which has a name.
  const auto fields = KernelFields::read({{"sk_buff", "mark"}});
  ASSERT_TRUE(fields) << fields.error().message;
  const Btf small(btf__parse(fields->path().c_str(), nullptr));
  ASSERT_TRUE(small);
  EXPECT_GT(offset_in(small.get(), "sk_buff", "mark"), 0);
}

TEST_F(KernelFieldsRead, ThatAreNotThereAreToldByName) {
  for (const char* name : {"fl_no_such_field", "comm"}) {
    const auto fields = KernelFields::read({{"task_struct", name}});
    ASSERT_FALSE(fields);
    EXPECT_EQ(fields.error().code, Errc::kNotFound);
    EXPECT_NE(fields.error().message.find(name), std::string::npos) << fields.error().message;
  }
}

}  // namespace
}  // namespace faultline::agent::test
