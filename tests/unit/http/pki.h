// SPDX-License-Identifier: Apache-2.0
// A certificate authority made for one test, by OpenSSL's library.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace faultline::http {

struct Pem {
  std::string certificate, key;
};

class Authority {
 public:
  using seconds = std::chrono::seconds;
  struct Wish {
    std::string names = "DNS:localhost,IP:127.0.0.1";  // as openssl.cnf says it; may be empty
    std::string common_name = "test";
    seconds begins{-3600}, ends{3600};  // from now
    std::vector<std::string> organizations;
    std::string usage;  // "clientAuth"; empty: any
  };

  explicit Authority(const std::string& name, seconds ends = seconds(7200))
      : key_(new_key()),
        certificate_(make(key_.get(), {.names = "", .common_name = name, .ends = ends}, true)) {}

  [[nodiscard]] Pem issue(const Wish& wish) const {
    const Key key = new_key();
    return {certificate_pem(make(key.get(), wish, false).get()), key_pem(key.get())};
  }
  [[nodiscard]] std::string pem() const { return certificate_pem(certificate_.get()); }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
  using Memory = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

  static Key new_key() {
    return {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free};
  }

  Certificate make(EVP_PKEY* key, const Wish& wish, bool authority) const {
    static long serial = 0;
    Certificate made(X509_new(), X509_free);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), wish.begins.count());
    X509_gmtime_adj(X509_getm_notAfter(made.get()), wish.ends.count());
    X509_set_pubkey(made.get(), key);
    const auto name = [&](const char* field, const std::string& text) {
      X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), field, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
    };
    for (const std::string& organization : wish.organizations) name("O", organization);
    name("CN", wish.common_name);
    X509* issuer = authority ? made.get() : certificate_.get();
    X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, made.get(), nullptr, nullptr, 0);
    const auto extend = [&](int nid, const std::string& value) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
      X509_add_ext(made.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wish.names.empty()) extend(NID_subject_alt_name, wish.names);
    if (!wish.usage.empty()) extend(NID_ext_key_usage, wish.usage);
    X509_sign(made.get(), authority ? key : key_.get(), EVP_sha256());
    return made;
  }

  static std::string text_of(const Memory& memory) {
    char bytes[8192];
    const int size = BIO_read(memory.get(), bytes, sizeof bytes);
    return {bytes, static_cast<std::size_t>(size > 0 ? size : 0)};
  }
  static std::string certificate_pem(X509* certificate) {
    const Memory memory(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_X509(memory.get(), certificate);
    return text_of(memory);
  }
  static std::string key_pem(EVP_PKEY* key) {
    const Memory memory(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(memory);
  }

  Key key_;
  Certificate certificate_;
};

// A folder that goes with its test.
class Folder {
 public:
  Folder() {
    char pattern[] = "/tmp/fl-tls-XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  // In one step, as Kubernetes changes its mounts. Returns the path.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name + ".new")) << text;
    std::filesystem::rename(file(name + ".new"), file(name));
    return file(name);
  }

 private:
  std::string path_;
};

}  // namespace faultline::http
