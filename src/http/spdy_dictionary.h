#pragma once

#include <string>

namespace km::http {

// The preset dictionary of header compression, 1423 bytes.
const std::string& spdyDictionary();

}  // namespace km::http
