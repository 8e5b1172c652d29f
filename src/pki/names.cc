#include <arpa/inet.h>

#include "base/strings.h"
#include "pki/detail/names.h"

namespace km::pki {
namespace {

std::string stringOf(const ASN1_STRING* s) {
  unsigned char* utf8 = nullptr;
  int n = ASN1_STRING_to_UTF8(&utf8, s);
  Bytes owned(utf8);
  return n > 0 ? std::string(reinterpret_cast<char*>(utf8), n) : std::string();
}

std::string rawOf(const ASN1_STRING* s) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<size_t>(ASN1_STRING_length(s))};
}

void pushName(GENERAL_NAMES* names, int type, ASN1_STRING* value) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(names, name);
}

}  // namespace

NamePtr makeName(const std::string& commonName, const std::vector<std::string>& organizations) {
  NamePtr name(X509_NAME_new());
  // UTF8String directly: OpenSSL's own choice of type would refuse names of more than 64 characters, which
  // node names may have. Organizations share one RDN, as Go writes them.
  auto add = [&](int nid, const std::string& text, int set) {
    X509_NAME_add_entry_by_NID(name.get(), nid, V_ASN1_UTF8STRING,
                               reinterpret_cast<const unsigned char*>(text.data()),
                               static_cast<int>(text.size()), -1, set);
  };
  for (size_t i = 0; i < organizations.size(); i++)
    add(NID_organizationName, organizations[i], i == 0 ? 0 : -1);
  if (!commonName.empty()) add(NID_commonName, commonName, 0);
  return name;
}

std::vector<std::string> nameEntries(const X509_NAME* name, int nid) {
  std::vector<std::string> out;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) {
    out.push_back(stringOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))));
  }
  return out;
}

Result<ExtensionPtr> makeAltNames(const std::vector<std::string>& dns, const std::vector<std::string>& ips) {
  if (dns.empty() && ips.empty()) return ExtensionPtr();
  NamesPtr names(GENERAL_NAMES_new());
  for (const std::string& text : dns) {
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
    pushName(names.get(), GEN_DNS, value);
  }
  for (const std::string& text : ips) {
    unsigned char bytes[16];
    bool v4 = inet_pton(AF_INET, text.c_str(), bytes) == 1;
    if (!v4 && inet_pton(AF_INET6, text.c_str(), bytes) != 1) {
      return errors::failed("not an IP address: " + quote(text));
    }
    ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
    ASN1_STRING_set(value, bytes, v4 ? 4 : 16);
    pushName(names.get(), GEN_IPADD, value);
  }
  ExtensionPtr extension(X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()));
  if (!extension) return osslError("subject alternative names");
  return extension;
}

AltNames readAltNames(const GENERAL_NAMES* names) {
  AltNames out;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
    int type = 0;
    auto* value = static_cast<ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    if (type == GEN_DNS) out.dns.push_back(rawOf(value));
    if (type == GEN_EMAIL) out.emails.push_back(rawOf(value));
    if (type == GEN_URI) out.uris.push_back(rawOf(value));
    if (type == GEN_IPADD) {
      std::string bytes = rawOf(value);
      char text[INET6_ADDRSTRLEN];
      int family = bytes.size() == 4 ? AF_INET : AF_INET6;
      if ((bytes.size() == 4 || bytes.size() == 16) && inet_ntop(family, bytes.data(), text, sizeof text)) {
        out.ips.emplace_back(text);
      }
    }
  }
  return out;
}

}  // namespace km::pki
