// SPDX-License-Identifier: Apache-2.0
#include "kube/resource.h"

#include "http/target.h"

namespace faultline::kube {
namespace {

// The API refuses only these in a path segment; what else a kind allows, its validation says.
bool is_segment(const std::string& text) {
  if (text == "." || text == "..") return false;
  for (const char c : text)
    if (c == '/' || c == '%' || c <= ' ' || c > '~') return false;
  return text.size() <= 253;
}

}  // namespace

ResourceRef ResourceRef::in(std::string space) const {
  ResourceRef ref = *this;
  ref.ns = std::move(space);
  return ref;
}

ResourceRef ResourceRef::named(std::string object) const {
  ResourceRef ref = *this;
  ref.name = std::move(object);
  return ref;
}

ResourceRef ResourceRef::status() const {
  ResourceRef ref = *this;
  ref.subresource = "status";
  return ref;
}

std::string ResourceRef::path() const {
  std::string path = group.empty() ? "/api/" : "/apis/" + http::percent_encode(group) + "/";
  path += http::percent_encode(version);
  if (!ns.empty()) path += "/namespaces/" + http::percent_encode(ns);
  path += "/" + http::percent_encode(plural);
  if (!name.empty()) path += "/" + http::percent_encode(name);
  if (!subresource.empty()) path += "/" + http::percent_encode(subresource);
  return path;
}

std::string ResourceRef::words() const {
  std::string text = plural;
  if (!group.empty()) text += "." + group;
  if (!subresource.empty()) text += "/" + subresource;
  if (!ns.empty() || !name.empty()) text += " ";
  if (!ns.empty()) text += ns + (name.empty() ? "/*" : "/");
  return text + name;
}

Result<> ResourceRef::check() const {
  if (version.empty() || plural.empty())
    return fail(Errc::kInternal, "a resource needs version and plural name, got '" + words() + "'");
  for (const std::string* part : {&group, &version, &plural, &ns, &name, &subresource})
    if (!is_segment(*part))
      return fail(Errc::kInvalid, "'" + *part + "' cannot be part of the address of " + plural +
                                      ": expected a name of the API, e.g. \"payments-0\"");
  return {};
}

ResourceRef pods() { return {"", "v1", "pods", {}, {}, {}}; }
ResourceRef nodes() { return {"", "v1", "nodes", {}, {}, {}}; }
ResourceRef namespaces() { return {"", "v1", "namespaces", {}, {}, {}}; }
ResourceRef config_maps() { return {"", "v1", "configmaps", {}, {}, {}}; }
ResourceRef events() { return {"", "v1", "events", {}, {}, {}}; }
ResourceRef leases() { return {"coordination.k8s.io", "v1", "leases", {}, {}, {}}; }

}  // namespace faultline::kube
