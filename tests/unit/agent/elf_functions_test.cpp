// SPDX-License-Identifier: Apache-2.0
// Where functions are in a file, by this program itself, and what a file that lies does: nothing.
#include "agent/kernel/elf_functions.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <link.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "agent/kernel/fd.h"

namespace faultline::agent {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"SSL_read", "SSL_write", "SSL_no_such"};

std::string library_path() {
  Dl_info info{};
  EXPECT_NE(dladdr(dlsym(RTLD_DEFAULT, "SSL_read"), &info), 0);
  return info.dli_fname;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A file without a name that holds `bytes`.
Fd file_of(const std::string& bytes) {
  Fd fd(::memfd_create("elf", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

TEST(ElfFunctions, AreWhereTheDynamicLinkerFindsThem) {
  SSL_CTX_free(SSL_CTX_new(TLS_method()));  // so that the library is there
  const Fd fd(::open(library_path().c_str(), O_RDONLY | O_CLOEXEC));
  const auto found = functions_in(fd.get(), kNames);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, testing::SizeIs(2));
  const std::string bytes = bytes_of(library_path());
  for (const auto& [name, offset] : *found) {
    ASSERT_LT(offset + 16, bytes.size());
    EXPECT_EQ(std::memcmp(dlsym(RTLD_DEFAULT, name.c_str()), bytes.data() + offset, 16), 0)
        << name << " is not at " << offset;
  }
}

TEST(ElfFunctions, NamesThatAreOnlyUsedAreNotFound) {
  const Fd fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  constexpr std::array<std::string_view, 1> kUsed = {"SSL_CTX_new"};
  const auto found = functions_in(fd.get(), kUsed);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, testing::IsEmpty());
}

TEST(ElfFunctions, WhatIsNoElfFileIsRefused) {
  const std::string library = bytes_of(library_path());
  for (const std::string& bytes : {std::string(), std::string("#!/bin/sh\n"),
                                   std::string(4096, '\0'), library.substr(0, 63)}) {
    const Fd fd = file_of(bytes);
    EXPECT_FALSE(functions_in(fd.get(), kNames));
  }
  const Fd folder(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(functions_in(folder.get(), kNames));
}

// Else a file could have us read it for hours: it may say that it has thousands of tables, and be
// without blocks.
TEST(ElfFunctions, OnlyTheFirstTableOfAKindIsRead) {
  std::string bytes = bytes_of(library_path());
  Elf64_Ehdr head{};
  std::memcpy(&head, bytes.data(), sizeof head);
  // Its sections once more, behind one of that kind without an entry.
  std::vector<Elf64_Shdr> sections(head.e_shnum + 1U);
  std::memcpy(&sections[1], bytes.data() + head.e_shoff, head.e_shnum * sizeof(Elf64_Shdr));
  for (Elf64_Shdr& section : sections) ++section.sh_link;
  sections[0] = {};
  sections[0].sh_type = SHT_DYNSYM;
  head.e_shoff = bytes.size();
  ++head.e_shnum;
  std::memcpy(bytes.data(), &head, sizeof head);
  bytes.append(reinterpret_cast<const char*>(sections.data()),
               sections.size() * sizeof(Elf64_Shdr));
  const Fd fd = file_of(bytes);
  const auto found = functions_in(fd.get(), kNames);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, testing::IsEmpty());
}

// Every answer is fine, but none may crash, hang or take the memory of the node.
TEST(ElfFunctions, FilesThatLieDoNoHarm) {
  const std::string good = bytes_of(library_path());
  std::mt19937 random(1);
  Elf64_Ehdr head{};
  std::memcpy(&head, good.data(), sizeof head);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = good;
    // In the file's head, and in its table of sections.
    const std::size_t where = i % 2 == 0
                                  ? random() % sizeof head
                                  : head.e_shoff + random() % (head.e_shnum * sizeof(Elf64_Shdr));
    for (std::size_t n = 0; n < 8 && where + n < bytes.size(); ++n)
      bytes[where + n] = static_cast<char>(random());
    const Fd fd = file_of(bytes);
    if (const auto found = functions_in(fd.get(), kNames)) {
      EXPECT_LE(found->size(), 2U);
    }
  }
}

}  // namespace
}  // namespace faultline::agent
