// Subjects and subject alternative names, shared by certificates and requests. Only for sources of pki.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "pki/detail/ossl.h"

namespace km::pki {

NamePtr makeName(const std::string& commonName, const std::vector<std::string>& organizations);
std::vector<std::string> nameEntries(const X509_NAME* name, int nid);

struct AltNames {
  std::vector<std::string> dns, ips, emails, uris;
};
// Null if there are none; an error if an address is none.
Result<ExtensionPtr> makeAltNames(const std::vector<std::string>& dns, const std::vector<std::string>& ips);
AltNames readAltNames(const GENERAL_NAMES* names);

}  // namespace km::pki
