// Signed tokens in compact form (RFC 7515): RS256, ES256, ES384, ES512.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "pki/key.h"

namespace km::pki {

// The algorithm's name for a key, as a JWK names it; "" if the key is of no use here.
std::string_view algorithmOf(const Key& key);

// header.payload.signature, the header being {"alg":...,"kid":...} as upstream's.
Result<std::string> signJws(const Key& key, std::string_view payload);

// A token taken apart. Nothing in it is to be believed before verifyJws.
struct Jws {
  std::string algorithm;
  std::string keyId;       // "" if the header names none
  std::string payload;     // decoded, usually JSON
  std::string signature;   // decoded
  std::string signedPart;  // what the signature covers
};
Result<Jws> parseJws(std::string_view token);

// Whether `key` signed it. The algorithm must be the key's own: a token cannot choose a weaker one.
bool verifyJws(const Jws& jws, const Key& key);

}  // namespace km::pki
