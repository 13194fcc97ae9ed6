"""How is the issuer's web site in a bucket behind CloudFront written for CloudFormation?

Two templates, since a stack is in one region, and CloudFront takes certificates from us-east-1 alone: one for the
certificate, which is made there, and one for all the rest, which is made in the bucket's region. Pure.
"""

from typing import Final

from agent.infrastructure.hosting import (
    DEFAULT_TTL,
    DOCUMENTS,
    ERROR_TTL,
    ERRORS,
    KEPT_DAYS,
    LONGEST_TTL,
    TLS_POLICY,
    Bucket,
    Site,
    keys,
    refuse_unfit,
)
from agent.infrastructure.literals import filled, identifier, quoted

_CERTIFICATE: Final = """\
# The certificate for @HOST@, which must be in us-east-1 to be of use to CloudFront.
#
#   aws cloudformation deploy --region us-east-1 --stack-name rolecall-certificate \\
#     --template-file hosting-certificate.yaml --parameter-overrides HostedZoneId=Z0123456789ABCDEFGHIJ
#   aws cloudformation describe-stacks --region us-east-1 --stack-name rolecall-certificate \\
#     --query "Stacks[0].Outputs[0].OutputValue" --output text
#
# The zone is that of the host's name in Route 53. Where DNS is elsewhere, leave it out: the stack then waits until the
# record is there that "aws acm list-certificates" and "aws acm describe-certificate" lead to.
AWSTemplateFormatVersion: "2010-09-09"
Description: "The certificate of the issuer at @HOST@ (rolecall)"

Parameters:
  HostedZoneId:
    Type: String
    Default: ""
    Description: The hosted zone in Route 53 of the host's name; empty if the record is made by hand.

Conditions:
  ZoneIsHere: !Not [!Equals [!Ref HostedZoneId, ""]]

Resources:
  Certificate:
    Type: AWS::CertificateManager::Certificate
    Properties:
      DomainName: @NAME@
      ValidationMethod: DNS
      DomainValidationOptions: !If
        - ZoneIsHere
        - [{DomainName: @NAME@, HostedZoneId: !Ref HostedZoneId}]
        - !Ref AWS::NoValue
      Tags: [{Key: "managed-by", Value: "rolecall"}]

Outputs:
  CertificateArn:
    Description: What hosting.yaml takes as CertificateArn
    Value: !Ref Certificate
"""

_HEADING: Final = """\
# The web site @HOST@: a private bucket in @REGION@ behind CloudFront.
#
# 1. First the certificate: hosting-certificate.yaml. Then, in the bucket's region:
#      aws cloudformation deploy --region @REGION@ --stack-name rolecall-hosting \\
#        --template-file hosting.yaml --capabilities CAPABILITY_IAM \\
#        --parameter-overrides HostedZoneId=Z0123456789ABCDEFGHIJ \\
#          CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef
#    Where DNS is elsewhere, leave out HostedZoneId, and make the record that the output AddressRecord names.
# 2. Let whoever publishes have the policy that the output for its issuer names; then: rolecall publish
AWSTemplateFormatVersion: "2010-09-09"
Description: "The web site of the issuer at @HOST@ (rolecall)"

Parameters:
  CertificateArn:
    Type: String
    AllowedPattern: "^arn:aws:acm:us-east-1:[0-9]{12}:certificate/[0-9a-f-]+$"
    Description: The certificate for the host, in us-east-1.
  HostedZoneId:
    Type: String
    Default: ""
    Description: The hosted zone in Route 53 of the host's name; empty if the record is made by hand.
  PriceClass:
    Type: String
    Default: PriceClass_All
    AllowedValues: [PriceClass_All, PriceClass_200, PriceClass_100]
    Description: From where CloudFront answers.

Conditions:
  ZoneIsHere: !Not [!Equals [!Ref HostedZoneId, ""]]
"""

_BUCKET: Final = """\

Resources:
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BucketName: @BUCKET@
      OwnershipControls: {Rules: [{ObjectOwnership: BucketOwnerEnforced}]}
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        BlockPublicPolicy: true
        IgnorePublicAcls: true
        RestrictPublicBuckets: true
      VersioningConfiguration: {Status: Enabled}  # a wrong key set that was written can be undone
      BucketEncryption:
        ServerSideEncryptionConfiguration: [{ServerSideEncryptionByDefault: {SSEAlgorithm: AES256}}]
      LifecycleConfiguration:
        Rules:
          - Id: forget-old-versions
            Status: Enabled
            NoncurrentVersionExpiration: {NoncurrentDays: @KEPT@}
      Tags: [{Key: "managed-by", Value: "rolecall"}]

  # CloudFront may not list the bucket, since / would then be its table of contents; so what is not there is a 403.
  BucketPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Sid: ThisDistributionReads
            Effect: Allow
            Principal: {Service: cloudfront.amazonaws.com}
            Action: "s3:GetObject"
            Resource:@READABLE@
            Condition:
              StringEquals:
                "aws:SourceArn": !Sub "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}"
          - Sid: NobodyWithoutTls
            Effect: Deny
            Principal: "*"
            Action: "s3:*"
            Resource: [!GetAtt Bucket.Arn, !Sub "${Bucket.Arn}/*"]
            Condition: {Bool: {"aws:SecureTransport": "false"}}
"""

_DISTRIBUTION: Final = """\

  AccessControl:
    Type: AWS::CloudFront::OriginAccessControl
    Properties:
      OriginAccessControlConfig:
        Name: @BUCKET@
        Description: "rolecall: @HOST@"
        OriginAccessControlOriginType: s3
        SigningBehavior: always
        SigningProtocol: sigv4

  # A document is kept for as long as its Cache-Control says, up to a limit; nothing of a request leads to another copy.
  CachePolicy:
    Type: AWS::CloudFront::CachePolicy
    Properties:
      CachePolicyConfig:
        Name: "rolecall-@PLAINBUCKET@"
        Comment: "rolecall: @HOST@"
        MinTTL: 0
        DefaultTTL: @DEFAULT@
        MaxTTL: @LONGEST@
        ParametersInCacheKeyAndForwardedToOrigin:
          EnableAcceptEncodingBrotli: false
          EnableAcceptEncodingGzip: false
          CookiesConfig: {CookieBehavior: none}
          HeadersConfig: {HeaderBehavior: none}
          QueryStringsConfig: {QueryStringBehavior: none}

  # Nobody is redirected, since AWS follows nothing; nothing is compressed, since keys do not get much smaller. The
  # bucket goes by its regional name: by the other one, a young bucket redirects those who ask, for hours.
  Distribution:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Enabled: true
        Comment: "rolecall: @HOST@"
        Aliases: [@NAME@]
        HttpVersion: http2and3
        IPV6Enabled: true
        PriceClass: !Ref PriceClass
        Origins:
          - Id: bucket
            DomainName: !GetAtt Bucket.RegionalDomainName
            OriginAccessControlId: !GetAtt AccessControl.Id
            S3OriginConfig: {OriginAccessIdentity: ""}
        DefaultCacheBehavior:
          TargetOriginId: bucket
          ViewerProtocolPolicy: https-only
          AllowedMethods: [GET, HEAD]
          CachedMethods: [GET, HEAD]
          CachePolicyId: !Ref CachePolicy
          Compress: false
        CustomErrorResponses:@ERRORS@
        ViewerCertificate:
          AcmCertificateArn: !Ref CertificateArn
          MinimumProtocolVersion: @TLS@
          SslSupportMethod: sni-only
      Tags: [{Key: "managed-by", Value: "rolecall"}]
"""

#: Z2FDTNDATAQYW2 is the hosted zone of every distribution, for aliases in Route 53 (CloudFormation User Guide).
_ADDRESS: Final = """\

  Address@FAMILY@:
    Type: AWS::Route53::RecordSet
    Condition: ZoneIsHere
    Properties:
      HostedZoneId: !Ref HostedZoneId
      Name: @NAME@
      Type: @FAMILY@
      AliasTarget: {DNSName: !GetAtt Distribution.DomainName, HostedZoneId: Z2FDTNDATAQYW2}
"""

#: Listing is what makes S3 say that a document is not there yet, rather than that it is forbidden. Whether S3 then
#: knows of a prefix is nowhere written, hence IfExists.
_PUBLISHER: Final = """\

  @ID@:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: @WHAT@
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: ["s3:GetObject", "s3:PutObject"]
            Resource:@KEYS@
          - Effect: Allow
            Action: "s3:ListBucket"
            Resource: !GetAtt Bucket.Arn
            Condition: {StringLikeIfExists: {"s3:prefix": @PREFIX@}}
"""

_OUTPUTS: Final = """\

Outputs:
  AddressRecord:
    Description: What must be in DNS for the site to be found; with HostedZoneId it is put there.
    Value: !Sub "@HOST@ CNAME ${Distribution.DomainName}"
  DistributionId:
    Description: "For: aws cloudfront create-invalidation"
    Value: !Ref Distribution
"""

_OUTPUT: Final = """\
  @ID@Arn:
    Description: @WHAT@
    Value: !Ref @ID@
"""


def certificate_cloudformation(site: Site) -> str:
    """The text of the template for the certificate of these issuers, which is for us-east-1."""
    return filled(_CERTIFICATE, host=site.host, name=quoted(site.host))


def hosting_cloudformation(site: Site, bucket: Bucket) -> str:
    """The text of the template for all but the certificate, which is for the bucket's region.

    Raises ConfigurationError where CloudFront cannot show the bucket at the issuers' URLs.
    """
    refuse_unfit(site, bucket)
    ids: list[str] = []
    for path in site.paths:
        ids.append(identifier(f"Publisher {path.replace('/', ' ')}", ids, allowed=""))
    named = list(zip(ids, site.paths, strict=True))
    template = _HEADING + _BUCKET + _DISTRIBUTION
    body = filled(
        template,
        host=site.host,
        region=bucket.region,
        name=quoted(site.host),
        bucket=quoted(bucket.name),
        plainbucket=bucket.name,
        kept=str(KEPT_DAYS),
        readable=_listed([f'!Sub "${{Bucket.Arn}}/{at}{document}"' for document in DOCUMENTS for at in ("", "*/")], 14),
        default=str(DEFAULT_TTL),
        longest=str(LONGEST_TTL),
        errors=_listed([f"{{ErrorCode: {code}, ErrorCachingMinTTL: {ERROR_TTL}}}" for code in ERRORS], 10),
        tls=TLS_POLICY,
    )
    addresses = [filled(_ADDRESS, family=family, name=quoted(site.host)) for family in ("A", "AAAA")]
    publishers = [_publisher(name, site, path) for name, path in named]
    outputs = [filled(_OUTPUT, id=name, what=quoted(_may_publish(site, path))) for name, path in named]
    return "".join([body, *addresses, *publishers, filled(_OUTPUTS, host=site.host), *outputs])


def _publisher(name: str, site: Site, path: str) -> str:
    writable = _listed([f'!Sub "${{Bucket.Arn}}/{key}"' for key in keys(path)], 14)
    prefix = quoted(f"{path}/.well-known/*" if path else ".well-known/*")
    return filled(_PUBLISHER, id=name, what=quoted(_may_publish(site, path)), keys=writable, prefix=prefix)


def _may_publish(site: Site, path: str) -> str:
    return f"May publish the issuer {site.issuer(path)}"


def _listed(items: list[str], indent: int) -> str:
    """A block of YAML, to follow a key and a colon."""
    return "".join(f"\n{' ' * indent}- {item}" for item in items)
