// RSA keys, faster than EVP_RSA_gen. Internal to the room.
#pragma once

#include "pki/detail/ossl.h"

namespace km::pki {

// Of 2048 bits, with 65537 as exponent. Null, with OpenSSL's error in its queue, if it fails.
PKey generateRsa2048();

}  // namespace km::pki
