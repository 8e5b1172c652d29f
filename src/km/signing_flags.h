// The authorities of the controller manager's signers: upstream's --cluster-signing-* flags.
#pragma once

#include <map>
#include <string>

#include "base/flags.h"
#include "base/result.h"
#include "pki/certificate.h"

namespace km {

struct SigningFlags {
  struct Files {
    std::string certificate, key;
  };
  Files all;                             // of every signer that has no other
  std::map<std::string, Files> signers;  // by the flag's word: "kubelet-serving"

  SigningFlags();
  void addTo(FlagSet& flags, Duration& life);
  // By the signer's name. An error: a file that cannot be read, or one of a pair, or both kinds of flags.
  Result<std::map<std::string, pki::KeyPair>> load() const;
};

// All signers with one authority.
std::map<std::string, pki::KeyPair> signersOf(const pki::KeyPair& authority);

}  // namespace km
